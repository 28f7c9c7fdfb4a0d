"""The figures that this project states about itself, each from a script that anybody can run."""
