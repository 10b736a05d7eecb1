from loadtests.acknowledged import Acknowledged


def _after(*writes: int) -> Acknowledged:
    ledger = Acknowledged(7)
    ledger.signed_in()
    for serial in writes:
        assert not ledger.wrote(serial, f"change {serial}", serial)
    return ledger


def _told(ledger: Acknowledged) -> list[tuple[int, int, int | None]]:
    return [(each.acknowledged, each.shown, each.came_back_ns) for each in ledger.losses]


def test_what_was_acknowledged_is_shown_and_nothing_is_missing():
    ledger = _after(1, 2, 3)
    assert not ledger.read(3, "change 3", 10)
    assert _told(ledger) == []


def test_a_change_whose_answer_was_lost_may_have_been_written():
    ledger = _after(1)
    assert not ledger.read(2, "unacknowledged", 10)
    assert not ledger.wrote(3, "change 3", 11)
    assert _told(ledger) == []


def test_a_read_of_an_older_state_is_a_loss_and_is_counted_once():
    ledger = _after(1, 2, 3)
    assert ledger.read(1, "change 1", 10)
    assert not ledger.read(1, "change 1", 11)
    assert _told(ledger) == [(3, 1, None)]


def test_a_change_made_to_an_older_state_is_a_loss():
    ledger = _after(1, 2, 3)
    assert ledger.wrote(2, "change 2 again", 10)
    assert _told(ledger) == [(3, 1, None)]


def test_the_same_number_for_another_change_does_not_bring_the_lost_one_back():
    ledger = _after(1, 2)
    assert ledger.read(1, "change 1", 10)
    assert not ledger.read(2, "a change whose answer was lost", 11)
    assert _told(ledger) == [(2, 1, None)]


def test_changes_after_a_loss_do_not_bring_it_back_when_the_number_is_reached_again():
    ledger = _after(1, 2)
    assert ledger.read(1, "change 1", 10)
    assert not ledger.wrote(2, "another", 11)
    assert not ledger.wrote(3, "a third", 12)
    assert not ledger.read(3, "a third", 13)
    assert _told(ledger) == [(2, 1, None)]


def test_a_copy_that_lagged_shows_it_in_the_end():
    ledger = _after(1, 2)
    assert ledger.read(1, "change 1", 10)
    assert not ledger.read(2, "change 2", 15)
    assert _told(ledger) == [(2, 1, 15)]


def test_a_change_on_top_of_what_was_missing_says_that_it_is_there():
    ledger = _after(1, 2)
    assert ledger.read(1, "change 1", 10)
    assert not ledger.wrote(3, "change 3", 15)
    assert _told(ledger) == [(2, 1, 15)]


def test_a_new_sign_in_has_lost_no_write_whatever_the_one_before_had():
    ledger = _after(1, 2, 3)
    ledger.signed_in()
    assert not ledger.read(0, "name", 10)
    assert not ledger.wrote(1, "change", 11)
    assert _told(ledger) == []
