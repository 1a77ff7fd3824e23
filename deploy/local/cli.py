"""The command line `ratoon`.

Exit codes: 0 done (or healthy), 1 failed (or unhealthy, or findings), 2 wrong usage, 3 already running or not running;
`ratoon org` has some of its own.
"""

import os
import sys

from deploy.local.failures import Failure
from deploy.local.parser import parser
from deploy.local.state import Home


def main(arguments: list[str] | None = None) -> int:
    parsed = parser().parse_args(arguments)
    home = Home(parsed.home.absolute())
    try:
        code: int = parsed.act(parsed, home)
    except Failure as failure:
        print(f"ratoon: {failure}", file=sys.stderr)
        return failure.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `ratoon logs | head`: whoever read has enough; keep the interpreter from saying so on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
