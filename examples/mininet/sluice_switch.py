"""A Mininet switch that is a bridge of Sluice, in user space: no kernel module is needed.

    mn --custom examples/mininet/sluice_switch.py --switch sluice --controller remote,port=6653 --topo tree,2

or, in a script, Mininet(switch=SluiceSwitch, ...). All switches of a process share one database and one switch
daemon, which start with the first switch and end with the last one.

$SLUICE is the command to run; without it the built one of this repository, else "sluice" from the PATH.
"""

import atexit
import os
import shlex
import shutil
import subprocess
import tempfile
import time

from mininet.log import debug, error
from mininet.node import Switch

# "mn --custom" runs this file without telling it where it is: then the directory of work counts.
_REPOSITORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..") if "__file__" in globals() else "."
_BUILT = os.path.normpath(os.path.join(_REPOSITORY, "packages/cli/bin/sluice.js"))


def _command():
    if "SLUICE" in os.environ:
        return shlex.split(os.environ["SLUICE"])
    if os.path.exists(_BUILT):
        return ["node", _BUILT]
    return ["sluice"]


class SluiceError(Exception):
    "A command of Sluice failed, or a daemon did not start."


class Daemons:
    "The database and the switch daemon, in a directory of their own."

    def __init__(self):
        self.rundir = tempfile.mkdtemp(prefix="sluice-mn-")
        self.env = dict(os.environ, SLUICE_RUNDIR=self.rundir, OVS_RUNDIR=self.rundir)
        self.database = "unix:%s/db.sock" % self.rundir
        self.processes = []
        atexit.register(self.stop)
        try:
            self._start("ovsdb-server", self.rundir + "/conf.db", "--remote=p" + self.database)
            self._await("db.sock")
            self._start("vswitchd", self.database)
        except SluiceError:
            self.stop()
            raise

    def _start(self, *args):
        with open("%s/%s.log" % (self.rundir, args[0]), "w") as log:
            # A session of its own: Ctrl-C in Mininet's command line is not for the switch.
            process = subprocess.Popen(_command() + list(args), env=self.env, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)

    def _await(self, name):
        deadline = time.monotonic() + 20
        while not os.path.exists(os.path.join(self.rundir, name)):
            if self.processes[-1].poll() is not None or time.monotonic() > deadline:
                raise SluiceError("ovsdb-server did not start:\n" + self.log("ovsdb-server"))
            time.sleep(0.05)

    def log(self, name):
        with open("%s/%s.log" % (self.rundir, name)) as log:
            return log.read()

    def run(self, *args):
        "Runs a command of Sluice and gives its output."
        debug("sluice %s\n" % " ".join(args))
        done = subprocess.run(_command() + list(args), env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        if done.returncode != 0:
            raise SluiceError("sluice %s: %s" % (" ".join(args), done.stderr.strip()))
        return done.stdout

    def vsctl(self, *args):
        return self.run("vsctl", "--db=" + self.database, "--timeout=30", *args)

    def stop(self):
        atexit.unregister(self.stop)
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        shutil.rmtree(self.rundir, ignore_errors=True)


class SluiceSwitch(Switch):
    "A bridge of Sluice that speaks OpenFlow 1.3."

    daemons = None
    running = set()

    def __init__(self, name, failMode="secure", reconnectms=1000, **params):
        """failMode: what becomes of packets without a controller (secure|standalone)
           reconnectms: longest wait between attempts to connect to a controller"""
        Switch.__init__(self, name, **params)
        self.failMode = failMode
        self.reconnectms = reconnectms
        self.controllerRows = []

    @classmethod
    def setup(cls):
        "Mininet calls it once, before it makes switches."
        if shutil.which(_command()[0]) is None:
            error("Cannot find %s: set SLUICE to the command that runs Sluice\n" % _command()[0])
            exit(1)

    def vsctl(self, *args):
        return SluiceSwitch.daemons.vsctl(*[str(arg) for arg in args])

    def start(self, controllers):
        if self.inNamespace:
            raise SluiceError("%s: switches share a daemon, and cannot have namespaces of their own" % self)
        if SluiceSwitch.daemons is None:
            SluiceSwitch.daemons = Daemons()
        SluiceSwitch.running.add(self.name)
        targets = ["%s:%s:%d" % (c.protocol, c.IP(), c.port) for c in controllers]
        if self.listenPort:
            targets.append("ptcp:%d" % self.listenPort)
        created = ["@c%d" % i for i in range(len(targets))]
        args = []
        for name, target in zip(created, targets):
            args += ["--id=" + name, "create", "Controller", 'target="%s"' % target,
                     "max_backoff=%d" % self.reconnectms, "--"]
        args += ["--if-exists", "del-br", self, "--", "add-br", self,
                "--", "set", "bridge", self, "datapath_type=netdev", "protocols=OpenFlow13",
                "fail_mode=" + self.failMode, "other_config:datapath-id=" + self.dpid,
                "other_config:dp-desc=" + self.name, "controller=[%s]" % ",".join(created)]
        for intf in self.intfList():
            if self.ports[intf] and not intf.IP():
                args += self._addPort(intf)
        # The rows that are created are told of by their UUIDs.
        self.controllerRows = self.vsctl(*args).split()

    def _addPort(self, intf):
        return ["--", "add-port", self, intf,
                "--", "set", "interface", intf, "ofport_request=%d" % self.ports[intf]]

    def attach(self, intf):
        "Adds a port while the switch runs."
        self.vsctl(*self._addPort(intf)[1:])
        intf.ifconfig("up")

    def detach(self, intf):
        self.vsctl("del-port", self, intf)

    def connected(self):
        "Whether a controller is there; a standalone switch needs none."
        if self.failMode == "standalone":
            return True
        if not self.controllerRows:
            return False
        asked = []
        for row in self.controllerRows:
            asked += ["--", "get", "controller", row, "is_connected"]
        return "true" in self.vsctl(*asked[1:])

    def dpctl(self, *args):
        "sluice ofctl COMMAND on this switch, with further arguments."
        target = "unix:%s/%s.mgmt" % (SluiceSwitch.daemons.rundir, self.name)
        return SluiceSwitch.daemons.run("ofctl", args[0], target, *[str(arg) for arg in args[1:]])

    def stop(self, deleteIntfs=True):
        if self.name in SluiceSwitch.running:
            SluiceSwitch.running.discard(self.name)
            if SluiceSwitch.running:
                self.vsctl("--if-exists", "del-br", self)
            else:
                SluiceSwitch.daemons.stop()
                SluiceSwitch.daemons = None
        super(SluiceSwitch, self).stop(deleteIntfs)


switches = {"sluice": SluiceSwitch}
