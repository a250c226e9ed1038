"""The side of a peer of ours that is asked for this and that, a line of JSON for each question."""

import json
import os
import sys


def open_channel():
    """say(answer), which tells the benchmark; whatever else is printed from now on is an error.

    Frameworks write to stdout as they like; the conversation keeps the real one for itself.
    """
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return lambda answer: print(json.dumps(answer), file=channel, flush=True)


def serve(answer, about):
    """Say what the peer is (about), then answer(asked) until the benchmark ends the conversation.

    Both are dicts that JSON can hold, and so is what `answer` is given.
    """
    say = open_channel()
    say(about)
    for line in sys.stdin:
        say(answer(json.loads(line)))
