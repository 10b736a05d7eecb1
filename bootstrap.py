"""Make .venv and install what requirements.lock names: `python3 bootstrap.py [--dev]`.

Runs on whatever Python the machine calls python3, so it is written for old ones too: it has to be able to
say that they are too old. Installs once; a second call with unchanged lock files returns at once. Every
failure that a user can cause or meet (old Python, no network, no wheel for this platform, no room on disk)
is one line, and the installer's whole output stays in .venv-install.log.
"""

import hashlib
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NEWER = ["python3.14", "python3.13", "python3.12", "python3.11"]
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
LOG = os.path.join(ROOT, ".venv-install.log")

# what pip says, and what the reader needs to hear; the first that matches wins
CAUSES = [
    ("No space left on device", "the disk is full: about 1 GB are needed beside this folder"),
    ("Permission denied", "this folder cannot be written to"),
    ("Read-only file system", "this folder cannot be written to"),
    ("THESE PACKAGES DO NOT MATCH THE HASHES", "a downloaded package does not match its hash in the lock file"),
    ("NewConnectionError", "the package index cannot be reached: check the network or pip's index settings"),
    ("ConnectionError", "the package index cannot be reached: check the network or pip's index settings"),
    ("Temporary failure in name resolution", "the package index cannot be reached: check the network"),
    ("ProxyError", "the package index cannot be reached: check the proxy settings"),
    ("Could not find a version", "no wheel of a pinned package fits this platform and Python (see README, Platforms)"),
    ("No matching distribution", "no wheel of a pinned package fits this platform and Python (see README, Platforms)"),
    ("ensurepip is not available", "this Python lacks venv: install your system's python3-venv package"),
    ("No module named venv", "this Python lacks venv: install your system's python3-venv package"),
]


def main(argv):
    if sys.version_info < OLDEST:
        return rerun_on_newer_python(argv)
    locks = ["requirements-dev.lock"] if "--dev" in argv else ["requirements.lock"]
    stamp = os.path.join(VENV, ".installed-dev" if "--dev" in argv else ".installed")
    wanted = fingerprint(locks)
    if read(stamp) == wanted:
        return 0
    print("installing %s into .venv (once, about a minute)" % locks[0])
    sys.stdout.flush()
    try:
        install(locks)
        with open(stamp, "w") as file:
            file.write(wanted)
        if "--dev" in argv:  # holds everything that the smaller lock does
            with open(os.path.join(VENV, ".installed"), "w") as file:
                file.write(fingerprint(["requirements.lock"]))
    except subprocess.CalledProcessError as error:
        return fail(explain(error.cmd))
    except OSError as error:
        return fail("cannot install into %s: %s" % (VENV, error.strerror))
    return 0


def install(locks):
    python = os.path.join(VENV, "bin", "python")
    with open(LOG, "w") as log:
        if not working(python):
            shutil.rmtree(VENV, ignore_errors=True)
            run([sys.executable, "-m", "venv", VENV], log)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2"]
        for lock in locks:
            run(pip + ["--require-hashes", "--only-binary", ":all:", "-r", os.path.join(ROOT, lock)], log)
        run(pip + ["--no-build-isolation", "--no-deps", "--no-index", "-e", ROOT], log)


def run(command, log):
    subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def working(python):
    """A .venv whose interpreter has gone, or was another minor version, is made anew."""
    try:
        out = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2])"], stdout=subprocess.PIPE)
    except OSError:
        return False
    return out.stdout.decode().strip() == str(tuple(sys.version_info[:2]))


def fingerprint(locks):
    digest = hashlib.sha256(("%s %s" % (ROOT, sys.version_info[:2])).encode())
    for name in locks + ["pyproject.toml"]:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def explain(command):
    said = read(LOG) or ""
    for sign, meaning in CAUSES:
        if sign in said:
            errors = [line.strip() for line in said.splitlines() if line.startswith("ERROR:") and sign in line]
            detail = errors[0] if errors else ""
            return "%s%s (all of it in %s)" % (meaning, " [%s]" % detail[7:] if detail else "", os.path.basename(LOG))
    last = [line for line in said.splitlines() if line.strip()][-1:] or ["no output"]
    return "%s failed: %s (all of it in %s)" % (os.path.basename(command[0]), last[0].strip(), os.path.basename(LOG))


def rerun_on_newer_python(argv):
    for name in NEWER:
        path = shutil.which(name)
        if path and subprocess.call([path, "-c", "import venv"], stderr=subprocess.DEVNULL) == 0:
            return subprocess.call([path, os.path.abspath(__file__)] + argv)
    return fail(
        "Python %d.%d is too old: authscale needs %d.%d or newer; install one, or name it: make PYTHON=/path/to/python3"
        % (sys.version_info[:2] + OLDEST)
    )


def fail(message):
    sys.stderr.write("authscale: " + message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
