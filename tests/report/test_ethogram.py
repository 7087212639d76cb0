from __future__ import annotations

import pandas as pd
import pytest

from actionspace.events.table import Events
from actionspace.report.ethogram import disagreements, ethogram
from actionspace.training.predictions import Predictions
from tests.report import fake_run


def predicted(rows, videos=None, root=".", truth=None, **labels) -> Predictions:
    events = Events.from_frames(rows, videos, root=root)
    known = None if truth is None else Events.from_frames(truth).rows
    about = fake_run.about(("a", "b"), untrimmed=list(events.videos["video"]), **labels)
    return Predictions(events, {}, about, pd.DataFrame(), {}, known)


def event(start, end, label, video="v.mp4", **more):
    return {"video": video, "start": start, "end": end, "label": label, **more}


def test_disagreements_compare_sets_of_labels_over_time():
    guess = [(0, 10, "a"), (10, 20, "b")]
    truth = [(0, 12, "a"), (12, 20, "b")]
    assert disagreements(guess, truth, [(0, 20)]) == ([(10, 12)], pytest.approx(0.9))
    assert disagreements(guess, truth, [(0, 20)], [(9, 11)]) == (
        [(11, 12)],
        pytest.approx(1 - 1 / 18),
    )
    assert disagreements(guess, truth, [(0, 5), (15, 20)]) == ([], 1.0)
    assert disagreements(guess, [], [(0, 40)]) == ([(0, 20)], 0.5)
    assert disagreements([], [], []) == ([], None)


def test_overlapping_bouts_of_one_label_count_once():
    guess = [(0, 10, "a"), (5, 8, "a")]
    assert disagreements(guess, [(0, 10, "a")], [(0, 10)]) == ([], 1.0)


def test_lanes_budget_and_agreement():
    rows = [event(0, 10, "a", score=0.9), event(10, 20, "b", score=0.8)]
    truth = [event(0, 12, "a"), event(12, 20, "b"), event(30, 40, "c")]
    found = ethogram(
        [predicted(rows, [{"video": "v.mp4", "duration": 40}], truth=truth)], None, "label"
    )
    (video,) = found.videos
    assert [lane.name for lane in video.lanes] == ["a", "b", "c"]  # the truth may know more
    assert [len(lane.predicted) for lane in video.lanes] == [1, 1, 0]
    assert video.agreement == pytest.approx(1 - 12 / 40)
    assert video.differs == ((10, 12), (30, 40))
    a, _, c = video.budget.rows
    assert (a.predicted.seconds, a.truth.seconds, a.predicted.share) == (10, 12, 0.25)
    assert (c.predicted.count, c.truth.count) == (0, 1)
    assert found.total[0].predicted.seconds == 10


def test_only_annotated_spans_are_compared():
    rows, truth = [event(0, 10, "a"), event(20, 40, "b")], [event(0, 10, "a")]
    videos = [{"video": "v.mp4", "duration": 40, "labelled": "0-20"}]
    (video,) = ethogram([predicted(rows, videos, truth=truth)], None, "label").videos
    assert video.agreement == 1.0
    a, b = video.budget.rows
    assert a.truth.share == 0.5  # of the twenty annotated seconds
    assert b.predicted.share == 0.5  # of the whole video


def test_given_truth_wins():
    rows = [event(0, 10, "a")]
    truth = Events.from_frames([event(0, 10, "b")], [{"video": "v.mp4", "duration": 10}])
    (video,) = ethogram([predicted(rows, truth=[event(0, 10, "a")])], truth, "label").videos
    assert video.agreement == 0.0


def test_without_truth_nothing_is_compared():
    (video,) = ethogram([predicted([event(0, 10, "a")])], None, "label").videos
    assert video.differs is None and not video.has_truth
    assert all(lane.truth is None for lane in video.lanes)


def test_several_subjects_get_a_lane_each():
    rows = [event(0, 10, "a", subject="Kofi"), event(5, 9, "b", subject="Ama")]
    (video,) = ethogram([predicted(rows, truth=rows)], None, "label").videos
    assert video.by_subject
    assert [lane.name for lane in video.lanes] == ["Ama", "Kofi"]
    assert video.agreement == 1.0
    assert [(r.subject, r.label) for r in video.budget.rows] == [("Ama", "b"), ("Kofi", "a")]
    assert video.budget.of("Kofi")[0].predicted.seconds == 10


def test_subjects_only_the_truth_knows_do_not_count_as_wrong():
    truth = [event(0, 10, "a", subject="Kofi")]
    (video,) = ethogram([predicted([event(0, 10, "a")], truth=truth)], None, "label").videos
    assert video.agreement == 1.0 and not video.by_subject


def test_a_trained_background_has_no_lane():
    rows = [event(0, 10, "a"), event(10, 20, "b")]
    background = {"kind": "trained", "label": "b", "note": "Learned from annotated gaps."}
    found = ethogram([predicted(rows, background=background)], None, "label")
    assert [lane.name for lane in found.videos[0].lanes] == ["a"]
    assert found.rule == "Learned from annotated gaps."


def test_clips_have_no_timeline():
    clips = fake_run.evaluated(fake_run.manifest("."))
    assert ethogram([clips], None, "label") is None


def test_a_video_in_which_nothing_was_found(tmp_path):
    long = fake_run.untrimmed(tmp_path, ("quiet.mp4",), (30.0,), with_truth=False)
    quiet = Events.from_frames([], long.events.videos, root=tmp_path)
    nothing = Predictions(quiet, {}, long.labels, long.rows, long.raw)
    (video,) = ethogram([nothing], None, "label").videos
    assert video.bouts == 0 and video.has_curves and video.duration == 30


def test_the_total_counts_a_subject_only_where_it_occurs():
    rows = [
        event(0, 10, "a", "v.mp4", subject="Kofi"),
        event(0, 5, "a", "v.mp4", subject="Ama"),
        event(0, 10, "a", "w.mp4", subject="Kofi"),
        event(0, 5, "b", "w.mp4", subject="Yaw"),
    ]
    videos = [{"video": "v.mp4", "duration": 20}, {"video": "w.mp4", "duration": 80}]
    found = ethogram([predicted(rows, videos)], None, "label")
    shares = {(r.subject, r.label): r.predicted.share for r in found.total}
    assert shares[("Kofi", "a")] == pytest.approx(0.2)
    assert shares[("Ama", "a")] == pytest.approx(0.25)
    assert found.total[0].truth is None
