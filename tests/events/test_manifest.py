"""CSV manifests as people write them, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from actionspace.errors import ActionspaceError, DataError, UsageError
from actionspace.events.io import read, sniff, write
from actionspace.events.table import Events


def manifest(folder: Path, text: str, name: str = "clips.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_one_file_for_simple_cases(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        "video,start,end,label,split,group\n"
        "a.mp4,,,groom,train,ada\n"
        "b/c d.mp4,0.5,2,rear|groom,test,bo\n"
        "\n"
        "empty.mp4,,,,,\n",
    )
    events = read(path)
    assert events.root == tmp_path
    assert events.rows["label"].tolist() == ["groom", "rear|groom"]
    assert events.rows["start"].isna().tolist() == [True, False]
    assert events.videos["video"].tolist() == ["a.mp4", "b/c d.mp4", "empty.mp4"]
    assert events.videos["group"].tolist() == ["ada", "bo", None]
    assert events.origin is not None
    assert events.origin.event_rows == {"0": 2, "1": 3}
    assert events.origin.video_rows["empty.mp4"] == 5  # as a spreadsheet counts, blank row included


def test_semicolons_bom_capitals_and_backslashes(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_bytes("\ufeffVideo;Start;End;Label\r\nb\\c.mp4;0,5;1:02,5;Übung\r\n".encode())
    row = read(path).rows.iloc[0]
    assert (row["video"], row["start"], row["end"], row["label"]) == ("b/c.mp4", 0.5, 62.5, "Übung")


def test_words_that_mean_missing_elsewhere_are_labels(tmp_path: Path) -> None:
    path = manifest(tmp_path, "video,label\na.mp4,None\nb.mp4,NA\nc.mp4,nan\n")
    assert read(path).rows["label"].tolist() == ["None", "NA", "nan"]


def test_columns_can_be_renamed_while_reading(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,behaviour,session,note\na.mp4,groom,s1,?\n")
    names = {"path": "video", "behaviour": "label", "session": "group", "note": ""}
    events = read(path, columns=names)
    assert events.heads == ("label",)
    assert events.videos["group"].tolist() == ["s1"]
    with pytest.raises(DataError, match="no column 'pth'"):
        read(path, columns={"pth": "video"})
    with pytest.raises(UsageError, match="no such option"):
        read(path, colums=names)


def test_other_columns_are_heads(tmp_path: Path) -> None:
    events = read(manifest(tmp_path, "video,verb,noun\na.mp4,cut,onion\nb.mp4,,pan\n"))
    assert events.heads == ("verb", "noun")
    assert events.classes("noun") == ["onion", "pan"]
    assert events.rows["label"].isna().all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video,lable\na.mp4,x\n", r"row 1: unknown column 'lable'\. Did you mean 'label'"),
        ("video,label,spilt\na.mp4,x,train\n", r"Did you mean 'split'"),
        ("path,label\na.mp4,x\n", r"row 1: there is no column 'video' among: path, label"),
        ("video\na.mp4\n", r"no 'label' column"),
        ("video,label\na.mp4,x\n,y\n", r"row 3: 'video' is empty"),
        ("video,start,end,label\n\na.mp4,1,x,y\n", r"row 3: 'end' is 'x'"),
        ("video,start,end,label\na.mp4,1,,y\n", r"row 2: there is only a 'start'"),
        ("video,label\na.mp4,x,y\n", r"row 2: 3 cells under 2 columns"),
        ("video,label,split\na.mp4,x,train\na.mp4,y,test\n", r"row 3: 'split' of a.mp4 is 'test'"),
        ("video,label,status\na.mp4,x,maybe\n", r"row 2: 'status' is 'maybe'"),
        ("video,label,fps\na.mp4,x,fast\n", r"row 2: 'fps' is 'fast'"),
        ("id,video,label\n1,a.mp4,x\n1,b.mp4,x\n", r"row 3: the id '1' is taken"),
        ('video,label\na.mp4,"x\nb.mp4,y\n', r"clips.csv"),
        ("video,label,label\na.mp4,x,y\n", r"two columns 'label'"),
        ("video,,label\na.mp4,x,y\n", r"column 2 has no name"),
        ("", r"is empty"),
    ],
)
def test_mistakes_are_named_with_file_and_row(tmp_path: Path, text: str, said: str) -> None:
    path = manifest(tmp_path, text)
    if text.count('"') == 1:  # an open quote swallows the rest: a label with a line end
        assert "\n" in read(path).rows["label"][0]
        return
    with pytest.raises(DataError, match=said) as caught:
        read(path)
    assert "clips.csv" in str(caught.value)


def test_another_encoding_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("video,label\na.mp4,Übung\n".encode("cp1252"))
    with pytest.raises(DataError, match="UTF-8"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("video", ["../a.mp4", "/etc/a.mp4", r"C:\a.mp4", "b/../../a.mp4"])
def test_paths_outside_the_root_are_refused(tmp_path: Path, video: str) -> None:
    path = manifest(tmp_path, f"video,label\nok.mp4,x\n{video},x\n")
    with pytest.raises(DataError, match=r"row 3: the video .* outside .* root=.*allow-outside"):
        read(path)
    assert len(read(path, allow_outside=True)) == 2


def test_a_root_that_holds_the_videos_makes_them_inside(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    path = manifest(
        tmp_path / "lists", f"video,label\n../a.mp4,x\n{tmp_path / 'b.mp4'},y\nc.mp4,z\n"
    )
    events = read(path, root=tmp_path)
    assert events.videos["video"].tolist() == ["a.mp4", "b.mp4", "c.mp4"]
    assert events.path("a.mp4") == tmp_path / "a.mp4"
    inside = manifest(tmp_path, "video,label\nlists/../a.mp4,x\n")
    assert read(inside).videos["video"].tolist() == ["a.mp4"]


def test_paths_are_written_relative_to_the_manifest(tmp_path: Path) -> None:
    events = Events.from_frames([{"video": "a.mp4", "label": "x"}], None, tmp_path / "videos")
    assert read(write(events, tmp_path / "m.csv")).videos["video"].tolist() == ["videos/a.mp4"]
    beside = write(events, tmp_path / "lists" / "m.csv")
    assert "../videos/a.mp4" in beside.read_text()
    assert read(beside, root=tmp_path / "videos").equals(events)


def test_two_tables(tmp_path: Path) -> None:
    manifest(tmp_path, "video,start,end,label\na.mp4,1,2,x\n", "events.csv")
    videos = manifest(tmp_path, "video,split,sex\nb.mp4,test,f\na.mp4,train,m\n", "videos.csv")
    for path in (tmp_path, tmp_path / "events.csv"):
        events = read(path)
        assert events.videos["video"].tolist() == ["b.mp4", "a.mp4"]
        assert events.videos["sex"].tolist() == ["f", "m"]
    assert events.origin is not None and events.origin.video_rows == {"b.mp4": 2, "a.mp4": 3}
    with pytest.raises(DataError, match="own column 'sex'"):
        write(events, tmp_path / "one.csv")
    videos.write_text("video,split\na.mp4,train\na.mp4,test\n")
    with pytest.raises(DataError, match=r"videos.csv, row \d: the video 'a.mp4' has a row already"):
        read(tmp_path)
    manifest(tmp_path, "video,label,split\na.mp4,x,train\n", "events.csv")
    with pytest.raises(DataError, match=r"'split' belongs into videos.csv"):
        read(tmp_path)


def test_formats_are_told_apart_or_listed(tmp_path: Path) -> None:
    strange = manifest(tmp_path, "hello", "notes.docx")
    with pytest.raises(DataError, match=r"boris, .*activitynet.*csv"):
        read(strange)
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="Did you mean 'boris'"):
        read(strange, "bors")
    with pytest.raises(UsageError, match=r"no format for '\.docx'"):
        write(Events.from_frames([]), strange)
    with pytest.raises(UsageError, match="read only"):
        write(Events.from_frames([]), tmp_path / "x.json", "football")
    assert sniff(manifest(tmp_path, "a b.mp4 3\n", "list.csv")) == "list"
    assert sniff(manifest(tmp_path, "video,subject,behavior,time\n", "own.csv")) == "csv"
    with pytest.raises(ActionspaceError):
        read(manifest(tmp_path, "not parquet", "x.parquet"))


def test_a_folder_of_videos_is_a_manifest(tmp_path: Path) -> None:
    for name in ("groom/a.mp4", "groom/deep/b.AVI", "rear/c.mkv", "d.mp4", "rear/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    events = read(tmp_path)
    assert events.rows.set_index("video")["label"].to_dict() == {
        "groom/a.mp4": "groom",
        "groom/deep/b.AVI": "groom",
        "rear/c.mkv": "rear",
    }
    assert "d.mp4" in events.videos["video"].tolist()
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no video"):
        read(tmp_path / "none")
