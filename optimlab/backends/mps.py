"""Apple's GPUs as programs ask for them. Apple GPU 的查询。"""


def is_available() -> bool:
    """False: optimlab computes on the CPU. 没有 Apple GPU。"""
    return False


def is_built() -> bool:
    """False: optimlab computes on the CPU. 没有 Apple GPU。"""
    return False
