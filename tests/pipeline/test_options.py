from typing import get_args

from tamis.pipeline import options


def test_every_option_says_what_it_is():
    found = {name: value for name, value in vars(options).items() if name[0].isupper()}
    found.pop("Annotated")
    assert {"ConfigFile", "Data", "Overwrite"} <= set(found)
    for name, value in found.items():
        assert get_args(value)[1].help, name
