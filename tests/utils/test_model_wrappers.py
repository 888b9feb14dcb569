from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from whiten_plugins.utils.model_wrappers import unwrap_model


class _Wrapper(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def test_the_model_itself_comes_out_of_any_number_of_wrappers():
    model = nn.Linear(2, 2)
    model.module = nn.Identity()  # a part of that name is no wrapping
    assert unwrap_model(model) is model
    MODEL_WRAPPERS.register_module(module=_Wrapper)
    try:
        assert unwrap_model(_Wrapper(_Wrapper(model))) is model
    finally:
        MODEL_WRAPPERS.module_dict.pop('_Wrapper')
