"""Which kernel computes a row on CUDA, which takes no GPU to ask."""

import pytest

from lossbench.losses.kernels.cuda.rows import plan_of

CLASSES = (2, 1000, 16384, 16385, 32768, 65536, 65537, 131072, 262144, 262145, 2_000_000)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
def test_programs_wait_for_each_other_only_where_all_of_them_come(classes, smooth, narrow) -> None:
    for by_itself in (False, True):
        plan = plan_of(classes, smooth, narrow, by_itself)
        if plan.way == "shared":
            assert by_itself
            assert not smooth
            # A team is waited for by one warp.
            assert -(-classes // plan.block) <= 32
        if plan.way == "whole":
            assert plan.block >= classes
    alone = plan_of(classes, smooth, narrow, True).way
    assert (alone == "shared") == (not smooth and not narrow and 16384 < classes <= 262144)
