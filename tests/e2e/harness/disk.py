"""Disks that are too small."""
import subprocess

KIB, MIB = 1024, 1024 * 1024


def mount_small(case, path, size):
    """A tmpfs of `size` bytes at `path`, gone when the test ends. Needs root."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(path)], check=True)
    case.addCleanup(subprocess.run, ["umount", "-l", str(path)], check=False)
    return path


def fill_up(path):
    """Takes all that is left, to the last page."""
    with open(path, "wb", buffering=0) as file:
        for size in (MIB, 4 * KIB, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
