"""What the tests of the command line share."""


def tells(result, code, *words):
    """An error: on stderr alone, in words, with something to do, and no traceback."""
    assert (result.code, result.out) == (code, "")
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err
    assert len(result.err.strip().splitlines()) >= 2, "a message and a remedy"
