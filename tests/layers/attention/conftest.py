import pytest

from tests.layers.attention.attention_cases import CASES
from tests.layers.attention.attention_cases import Case


@pytest.fixture(params=CASES)
def case(request):
    return Case(request.param)
