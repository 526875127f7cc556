"""Apple's GPUs as programs ask for them. Apple GPU 的查询。"""


def is_available() -> bool:
    """False: optimlab computes on the CPU. 只用 CPU 计算。"""
    return False


def is_built() -> bool:
    """False: optimlab computes on the CPU. 只用 CPU 计算。"""
    return False
