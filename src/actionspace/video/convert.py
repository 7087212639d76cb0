"""From a decoded frame to uint8 RGB, by one reused converter per file.

Pixels are taken as stored: interlaced fields are not separated, pixels that are not square stay
so, and HDR is cut to 8 bits without tone mapping. Alpha is dropped.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from actionspace.errors import VideoError
from actionspace.video.index import FrameIndex
from actionspace.video.reader import DECODE_ERRORS, explain
from actionspace.video.resize import resize_antialias
from actionspace.video.transform import FrameTransform, resize_bilinear


class Converter:
    """Turns decoded frames of one file into ``[H, W, 3]`` RGB arrays after a transform.

    They are uint8, or float32 from 0 to 255 where the transform resizes in floats.

    The converters inside are made once per file: setting one up costs as much as using it. They
    run on one thread, so that the result does not depend on the number of cores.
    """

    def __init__(self, index: FrameIndex, transform: FrameTransform) -> None:
        self.path = index.path
        self.transform = transform
        self.out = transform.output_size(index.width, index.height)
        self._turns = index.rotation // 90 % 4
        self._stored = self._unturned(index.width, index.height)
        self._in_decoder = transform.mode == "fast" and transform.crop is None
        self._rgb = VideoReformatter()
        self._scale = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """Return the frame as shown, cropped and resized."""
        # A size that changes in mid-stream is brought back to that of the first frame.
        size = self._unturned(*self.out) if self._in_decoder else self._stored
        array = self._scaled(self._rgb, frame, size)
        if self._turns:
            array = np.rot90(array, self._turns)
        if self.transform.crop is not None:
            x, y, w, h = self.transform.crop
            array = array[y : y + h, x : x + w]
        if self.transform.mode == "exact":
            array = resize_bilinear(array, *self.out)
        elif self.transform.mode != "fast":
            array = resize_antialias(array, *self.out, self.transform.mode)
        elif not self._in_decoder:
            part = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
            array = self._scaled(self._scale, part, self.out)
        return np.ascontiguousarray(array)

    def _unturned(self, width: int, height: int) -> tuple[int, int]:
        return (height, width) if self._turns % 2 else (width, height)

    def _scaled(
        self, reformatter: VideoReformatter, frame: VideoFrame, size: tuple[int, int]
    ) -> np.ndarray:
        try:
            return reformatter.reformat(
                frame,
                width=size[0],
                height=size[1],
                format="rgb24",
                interpolation=Interpolation.AREA,
                threads=1,
            ).to_ndarray()
        except DECODE_ERRORS as e:
            raise VideoError(
                f"{self.path}: a frame of {frame.width} x {frame.height} pixels "
                f"({frame.format.name}) cannot be converted to RGB at {size[0]} x {size[1]} "
                f"({explain(e)}). Re-encode the file."
            ) from e
