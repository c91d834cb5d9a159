"""A window that shows pictures as they come, by Tk, which comes with Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from agelens.errors import OutputError

__all__ = ["Window"]

NO_SCREEN = "there is no screen for a window; use agelens video 0 OUT.mp4, or agelens app with a browser"


class Window:
    """Shows pictures until it is closed."""

    def __init__(self, title: str) -> None:
        """Open it.

        Raises:
            OutputError: there is no screen, or Python came without Tk.
        """
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise OutputError(f"Python came without Tk ({error}); install it, as by: apt install python3-tk") from error
        try:
            self._root: Any = tkinter.Tk()
        except tkinter.TclError as error:
            raise OutputError(NO_SCREEN) from error
        self._picture_of = ImageTk.PhotoImage
        self._picture: Any = None
        self._open = True
        self._root.title(title)
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._root.protocol("WM_DELETE_WINDOW", self._end)
        for key in ("q", "<Escape>"):
            self._root.bind(key, lambda _event: self._end())

    def show(self, image: npt.NDArray[np.uint8]) -> bool:
        """Show an (H, W, 3) uint8 RGB picture; False once the user has closed the window."""
        if self._open:
            self._picture = self._picture_of(Image.fromarray(image), master=self._root)
            self._label.configure(image=self._picture)
            self._root.update()
        return self._open

    def close(self) -> None:
        """Take the window away."""
        self._end()
        self._root.destroy()

    def _end(self) -> None:
        self._open = False
