import { accessSync, constants, mkdirSync, statSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";

const SYSTEM_RUNDIR = "/var/run/openvswitch";

type Env = Readonly<Record<string, string | undefined>>;

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where sockets and pid files live: $SLUICE_RUNDIR, else $OVS_RUNDIR (both may be relative, and need not be there), else Open
 *  vSwitch's own directory for root and whoever may write there, else a directory of the user's. */
export function runDir(env: Env = process.env): string {
  const given = env.SLUICE_RUNDIR || env.OVS_RUNDIR;
  if (given) return resolve(given);
  if (process.getuid?.() === 0 || isWritable(SYSTEM_RUNDIR)) return SYSTEM_RUNDIR;
  return env.XDG_RUNTIME_DIR
    ? join(env.XDG_RUNTIME_DIR, "sluice")
    : join(tmpdir(), `sluice-${userInfo().username}`);
}

/** `runDir`, made if it is not there. A directory under a shared temporary one that somebody else made is refused:
 *  its owner could listen in our place. Throws a one-line Error. */
export function ensureRunDir(env: Env = process.env): string {
  const dir = runDir(env);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const isShared = dir.startsWith(join(tmpdir(), "sluice-"));
  if (isShared && process.getuid !== undefined && statSync(dir).uid !== process.getuid()) {
    throw new Error(`${dir}: belongs to another user; set SLUICE_RUNDIR`);
  }
  return dir;
}
