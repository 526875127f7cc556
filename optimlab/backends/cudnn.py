"""The switches of NVIDIA's cuDNN: programs may set them, and nothing follows. cuDNN 的开关，不起作用。"""

enabled, benchmark, deterministic, allow_tf32 = False, False, False, False


def is_available() -> bool:
    """False: optimlab computes on the CPU. 只用 CPU 计算。"""
    return False


def version() -> None:
    """None: there is no cuDNN. 没有 cuDNN。"""
