"""A person on a terminal, as the channel of their name: what agents say is shown, what is typed is said.

    python examples/person.py ann
    rlmd chat -m '/py from channels import ann
    > reply("She says: " + await ann.ask("Tea?", type="yesno"))'

If one question is open, what is typed and fits is its answer. Ends with Ctrl-D or Ctrl-C; what agents say
until the next time waits.
"""

from __future__ import annotations

import sys

import rlmd


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "ann"
    with rlmd.connect() as client, client.channel(name) as channel:

        @channel.on_message
        def heard(message: rlmd.records.Message) -> None:
            print(f"{message.sender}: {message.text}", flush=True)

        @channel.on_question
        def asked(question: rlmd.records.Question) -> None:
            wanted = f" ({question.wanted})" if question.wanted else ""
            print(f"{question.agent} asks: {question.text}{wanted}", flush=True)

        @channel.on_closed
        def ended(question: rlmd.records.Question) -> None:
            if question.answered_by != name:
                who = f" by {question.answered_by}" if question.answered_by else ""
                print(f"({question.text!r} is {question.state}{who})", flush=True)

        channel.start()
        print(f"{name} is connected", flush=True)
        for line in sys.stdin:
            if line.strip():
                channel.say(line.strip(), sender=name)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
