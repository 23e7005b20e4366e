"""What all pictures share: matplotlib, which is imported late, and colours."""

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "Display", "pyplot"]

# Okabe & Ito's, which the colour-blind tell apart, as print in grey does.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#737373"


def pyplot(owner):
    """matplotlib.pyplot; ImportError if it is missing, naming the display that needs it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{owner} needs matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return plt


class Display:
    """Base of displays that are drawn with matplotlib."""

    def _draw_on(self, ax, n_axes=1):
        """The axes to draw on, ``ax`` or new ones, kept as ``ax_`` beside their ``figure_``."""
        plt = pyplot(type(self).__name__)
        if ax is None:
            size = None if n_axes == 1 else (4.6 * n_axes, 4.2)
            _, ax = plt.subplots(ncols=n_axes, figsize=size, layout="constrained")
        self.ax_ = ax
        self.figure_ = (ax if n_axes == 1 else ax[0]).figure
        return ax
