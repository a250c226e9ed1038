"""The tutorial's animations in matplotlib, and writers that discard or encode their frames."""

import io

import av
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import AbstractMovieWriter, FuncAnimation


class DiscardingWriter(AbstractMovieWriter):
    """Renders the pixels of a frame, as matplotlib's writers do, and discards them."""

    def setup(self, fig, outfile, dpi=None):
        super().setup(fig, outfile, dpi)
        self.frames = 0

    def grab_frame(self, **savefig_kwargs):
        picture = io.BytesIO()
        self.fig.savefig(picture, format="rgba", dpi=self.dpi, **savefig_kwargs)
        self.take(picture.getbuffer())
        self.frames += 1

    def take(self, pixels):
        pass

    def finish(self):
        pass


class EncodingWriter(DiscardingWriter):
    """Encodes in this process with our settings, rather than over a pipe to another program."""

    def setup(self, fig, outfile, dpi=None):
        super().setup(fig, outfile, dpi)
        self.container = av.open(str(outfile), "w")
        options = {"crf": "28", "preset": "superfast", "x264-params": "mbtree=0"}
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


def flat(snapshots, rgb):
    """Return (figure, update) for snapshots [F, C, 2]."""
    fig, ax = plt.subplots(figsize=(12.8, 7.2))
    fig.subplots_adjust(left=0.1, right=0.9, bottom=0.15, top=0.9)
    ax.set_xlabel("$x_0$"), ax.set_ylabel("$x_1$")
    ax.set_title("Training of 2D colour embeddings")
    points = ax.scatter(*snapshots[-1].T, color=rgb, s=10)
    ax.set_xlim(snapshots[-1][:, 0].min(), snapshots[-1][:, 0].max())
    ax.set_ylim(snapshots[-1][:, 1].min(), snapshots[-1][:, 1].max())

    def update(number):
        points.set_offsets(snapshots[number])
        return (points,)

    return fig, update


def deep(snapshots, rgb):
    """Return (figure, update) for snapshots [F, C, 3]; the tutorial does not show its 3-D code."""
    fig = plt.figure(figsize=(12.8, 7.2))
    ax = fig.add_subplot(projection="3d")
    ax.set_xlabel("$x_0$"), ax.set_ylabel("$x_1$"), ax.set_zlabel("$x_2$")
    ax.set_title("Training of 3D colour embeddings")
    points = ax.scatter(*snapshots[-1].T, color=rgb, s=10)

    def update(number):
        points._offsets3d = tuple(snapshots[number].T)
        ax.view_init(elev=20, azim=-60 + 360 * number / len(snapshots))
        return (points,)

    return fig, update


def save(snapshots, rgb, path, writer=EncodingWriter):
    """Save the animation of snapshots [F, C, 2 or 3]; returns the number of frames."""
    with plt.style.context("default"):
        fig, update = (flat if snapshots.shape[-1] == 2 else deep)(snapshots, rgb)
        movie = FuncAnimation(fig, update, frames=len(snapshots), interval=1000 / 30)
    writer = writer(fps=30)
    movie.save(path, writer=writer)
    plt.close(fig)
    return writer.frames
