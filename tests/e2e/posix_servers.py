"""posix_servers.py - a PostgreSQL or Redis of a test's own: in a new folder, on a Unix socket, ended by its process id.

Not a test itself. Each is a context manager; Missing says why there is none here.
"""
import glob, os, pwd, resource, shutil, signal, subprocess, sys, tempfile, time

BUILD = os.environ.get("WEFT_BUILD") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/release-gcc")


class Missing(Exception):
    pass


def program(name, needs, folder="tests"):
    path = os.path.join(BUILD, folder, name)
    if not os.path.exists(path):
        raise Missing(f"{name} is not built: {needs} was not there when the build was set up")
    return path


def run(cmd, seconds=300, procs=2, **env):
    """The program's output; the test ends where it fails."""
    r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds,
                       env=dict(os.environ, WEFT_PROCS=str(procs), **env))
    print(r.stdout, end="", flush=True)
    if r.returncode:
        sys.exit(f"{os.path.basename(cmd[0])} ended with {r.returncode}")
    return r.stdout


def raise_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="weft-posix-")
        self.log = os.path.join(self.dir, "log")
        self.proc = None

    def start(self, cmd, ready, what, **more):
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(cmd, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **more)
        end = time.monotonic() + 120
        while not ready():
            if self.proc.poll() is not None or time.monotonic() > end:
                text = open(self.log, errors="replace").read()[-2000:]
                raise RuntimeError(f"{what} did not start:\n{text}")
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
            try:
                self.proc.wait(60)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Redis(Server):
    def __init__(self, clients=2000):
        exe = shutil.which("redis-server")
        if not exe:
            raise Missing("no redis-server here")
        super().__init__()
        raise_limit()
        self.path = os.path.join(self.dir, "redis.sock")
        self.start([exe, "--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no", "--daemonize", "no",
                    "--maxclients", str(clients), "--dir", self.dir], lambda: os.path.exists(self.path), "redis-server")


class Postgres(Server):
    """Runs as the user postgres or nobody where this is root: it refuses to be root's."""

    def __init__(self, connections=200):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
        if not found:
            raise Missing("no PostgreSQL server here")
        super().__init__()
        self.bin = os.path.dirname(found[-1])
        self.as_user = {}
        if os.geteuid() == 0:
            for name in ("postgres", "nobody"):
                try:
                    u = pwd.getpwnam(name)
                    break
                except KeyError:
                    pass
            os.chown(self.dir, u.pw_uid, u.pw_gid)
            os.chmod(self.dir, 0o755)
            self.as_user = {"user": u.pw_uid, "group": u.pw_gid, "extra_groups": []}
        data = os.path.join(self.dir, "data")
        r = subprocess.run([os.path.join(self.bin, "initdb"), "-D", data, "-U", "weft", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.dir, **self.as_user)
        if r.returncode:
            raise RuntimeError("initdb: " + r.stdout[-2000:])
        self.conninfo = f"host={self.dir} user=weft dbname=postgres"
        self.start([os.path.join(self.bin, "postgres"), "-D", data, "-k", self.dir, "-c", "listen_addresses=", "-c", "fsync=off",
                    "-c", f"max_connections={connections}", "-c", "shared_buffers=16MB", "-c", "autovacuum=off"],
                   self.answers, "postgres", cwd=self.dir, **self.as_user)

    def answers(self):
        return subprocess.run([os.path.join(self.bin, "pg_isready"), "-q", "-h", self.dir, "-U", "weft"]).returncode == 0

    def number(self, sql):
        r = subprocess.run([os.path.join(self.bin, "psql"), "-X", "-A", "-t", "-d", self.conninfo, "-c", sql], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        return int(r.stdout.strip() or 0) if r.returncode == 0 else -1


def main(test):
    """A test's frame: Missing is a skip."""
    try:
        test()
    except Missing as e:
        print(e)
        sys.exit(77)
