"""Those who look on while a source is watched: a web page, a window, a video file that grows."""
