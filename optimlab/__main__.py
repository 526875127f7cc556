"""``python -m optimlab`` is the command ``optimlab``. 等同于命令 ``optimlab``。"""

import sys

from optimlab.cli import main

sys.exit(main())
