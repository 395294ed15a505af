import pytest

from unmask.verbs.doctor import unsupported


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((6, 0), ["sm_50", "sm_60", "sm_75"], True),  # P100, an older torch
        ((6, 0), ["sm_75", "sm_80", "sm_120"], False),  # P100, a newer one
        ((7, 5), ["sm_75", "sm_80"], True),  # T4
        ((8, 9), ["sm_80", "sm_90"], True),  # code of the same major, lower minor
        ((12, 1), ["sm_90", "compute_90"], True),  # compiled when first used
        ((6, 0), ["sm_90", "compute_90"], False),
        ((9, 0), ["sm_90a"], True),  # a suffix is not understood: not called unfit
        ((9, 0), [], True),
    ],
)
def test_gpus_that_torch_has_no_code_for(
    capability: tuple[int, int], architectures: list[str], runs: bool
) -> None:
    assert unsupported([capability], architectures) == ([] if runs else [0])
