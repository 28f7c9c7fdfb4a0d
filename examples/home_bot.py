"""A home with lights and a thermometer, as functions that programs of the agent call. Runs until Ctrl-C.

    python examples/home_bot.py
    rlmd chat -m '/py from channels import home
    > reply(await home.lights(on=True, room="attic"))'

There are no real lamps: put your own calls where the dictionary is written.
"""

from __future__ import annotations

from typing import Literal

import rlmd

Room = Literal["hall", "kitchen", "attic"]


def main() -> None:
    lamps: dict[Room, bool] = {}
    with rlmd.connect() as client, client.channel("home") as channel:

        @channel.function(trusted=True, time_limit=60)
        def lights(on: bool, room: Room = "hall") -> str:
            """Switch the lights of a room."""
            lamps[room] = on
            print(f"{room}: {'on' if on else 'off'}", flush=True)
            return f"the lights of the {room} are {'on' if on else 'off'}"

        @channel.function(side_effects=False, trusted=True, time_limit=10, offline="fail")
        def lit() -> list[Room]:
            """The rooms in which there is light."""
            return [room for room, on in lamps.items() if on]

        @channel.on_message
        def heard(message: rlmd.records.Message) -> None:
            print(f"{message.sender}: {message.text}", flush=True)

        channel.start()
        print("the home is connected", flush=True)
        channel.serve()


if __name__ == "__main__":
    main()
