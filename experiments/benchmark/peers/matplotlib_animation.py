"""The tutorial's animation as matplotlib makes it, as the benchmark times it.

Started with the path of the snapshots; asked for {"what", "dim", "out"}: "draw" saves to a writer
that makes every frame's pixels and drops them, "whole" to one that encodes them as ours does.
"""

# ruff: noqa: D102 (the methods are those of matplotlib's writers)

import io
import sys
import time

import av
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from _asked import serve
from matplotlib.animation import AbstractMovieWriter, FuncAnimation

from colour_embed import data

RGB = data.load_colours().rgb


class DiscardingWriter(AbstractMovieWriter):
    """Takes the pixels of a frame, as matplotlib's own writers do, and drops them."""

    def setup(self, fig, outfile, dpi=None):
        super().setup(fig, outfile, dpi)
        self.frames = 0

    def grab_frame(self, **savefig_kwargs):
        self.take(self.pixels(savefig_kwargs))
        self.frames += 1

    def pixels(self, savefig_kwargs):
        picture = io.BytesIO()
        self.fig.savefig(picture, format="rgba", dpi=self.dpi, **savefig_kwargs)
        return picture.getbuffer()

    def take(self, pixels):
        pass

    def finish(self):
        pass


class EncodingWriter(DiscardingWriter):
    """Encodes at once, with our settings, rather than over a pipe to another program."""

    def setup(self, fig, outfile, dpi=None):
        super().setup(fig, outfile, dpi)
        self.container = av.open(str(outfile), "w")
        options = {"crf": "26", "preset": "medium"}
        self.stream = self.container.add_stream("libx264", rate=self.fps, options=options)
        self.stream.width, self.stream.height = self.frame_size
        self.stream.pix_fmt = "yuv420p"

    def take(self, pixels):
        width, height = self.frame_size
        picture = np.frombuffer(pixels, np.uint8).reshape(height, width, 4)
        frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format="yuv420p")
        self.container.mux(self.stream.encode(frame))

    def finish(self):
        self.container.mux(self.stream.encode())
        self.container.close()


def flat(snapshots):
    """(figure, update) in 2-D, as the tutorial has it."""
    fig, ax = plt.subplots(figsize=(10, 5), dpi=100)
    fig.subplots_adjust(left=0.1, right=0.9, bottom=0.15, top=0.9)
    ax.set_xlabel("$x_0$"), ax.set_ylabel("$x_1$")
    ax.set_title("Training of 2D colour embeddings")
    points = ax.scatter(*snapshots[-1].T, color=RGB, s=10)

    def update(number):
        points.set_offsets(snapshots[number])
        return (points,)

    return fig, update


def deep(snapshots):
    """(figure, update) in 3-D, with a camera that circles."""
    fig = plt.figure(figsize=(8, 6), dpi=100)
    ax = fig.add_subplot(projection="3d")
    ax.set_xlabel("$x_0$"), ax.set_ylabel("$x_1$"), ax.set_zlabel("$x_2$")
    ax.set_title("Training of 3D colour embeddings")
    points = ax.scatter(*snapshots[-1].T, color=RGB, s=10)

    def update(number):
        points._offsets3d = tuple(snapshots[number].T)
        ax.view_init(elev=20, azim=-60 + 360 * number / len(snapshots))
        return (points,)

    return fig, update


def answer(asked):
    with np.load(sys.argv[1]) as file:
        snapshots = file[f"snapshots_{asked['dim']}d"]
    began = time.perf_counter()
    fig, update = (flat if asked["dim"] == 2 else deep)(snapshots)
    animation = FuncAnimation(fig, update, frames=len(snapshots), interval=1000 / 30)
    writer = (DiscardingWriter if asked["what"] == "draw" else EncodingWriter)(fps=30)
    animation.save(asked["out"], writer=writer)
    plt.close(fig)
    return {"seconds": time.perf_counter() - began, "frames": writer.frames}


serve(answer, {"versions": {"matplotlib": matplotlib.__version__, "av": av.__version__}})
