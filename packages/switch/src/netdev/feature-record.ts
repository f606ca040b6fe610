import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AF_INET, Device, type Feature, isFeature, SOCK_DGRAM_CLOEXEC } from "./device.js";
import { type Libc, loadLibc } from "./libc.js";
import { SOL_SOCKET } from "./packet-socket.js";

/** What a device was found to do, before it was had to do otherwise. */
export interface FoundFeature {
  readonly device: string;
  readonly ifindex: number;
  readonly feature: Feature;
  readonly found: boolean;
}

/** Whose record it is, and where its devices are. */
interface Owner {
  readonly pid: number;
  /** When the process began, as /proc/PID/stat says it: a number may be given again. */
  readonly started: string;
  /** Of the machine: devices do not outlive it. */
  readonly boot: string;
  /** Of the network namespace, never given again while the machine runs (SO_NETNS_COOKIE); "" where the kernel tells none. */
  readonly netns: string;
}

interface FeatureFile extends Owner {
  readonly features: readonly FoundFeature[];
}

interface RecordLog {
  info(text: string): void;
  warn(text: string): void;
}

const FILE = /^ovs-vswitchd\.\d+\.features$/;
/** Of a file that is read: ten thousand devices. */
const MAX_BYTES = 1 << 20;
const SO_NETNS_COOKIE = 71;

/** What the switch has changed at devices, kept in a file of the run directory, `ovs-vswitchd.PID.features`, from before a
 *  device is touched until it is as it was: so that whoever is started next can put back what one left that was killed. */
export class FeatureRecord {
  readonly #dir: string;
  readonly #path: string;
  readonly #log: RecordLog;
  #libc: Libc | undefined;
  #owner: Owner | undefined;
  #features: readonly FoundFeature[] = [];
  /** The write that is under way, and what is to be written after it, by whoever comes last. */
  #writing: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;
  #complaint = "";

  constructor(dir: string, log: RecordLog) {
    this.#dir = dir;
    this.#path = join(dir, `ovs-vswitchd.${process.pid}.features`);
    this.#log = log;
  }

  /** Has the record say this, and no more. Resolves with whether it does. */
  keep(features: readonly FoundFeature[]): Promise<boolean> {
    this.#features = features;
    if (!this.#writing) return this.#begin();
    this.#next ??= this.#writing.then(() => this.#begin());
    return this.#next;
  }

  #begin(): Promise<boolean> {
    this.#next = undefined;
    this.#writing = this.#write(this.#features).then(
      () => true,
      (error: Error) => {
        const text = error.message.split("\n")[0]!;
        if (text !== this.#complaint)
          this.#log.warn(`${text}: what cannot be put back later is left as it is (no segments are merged)`);
        this.#complaint = text;
        return false;
      },
    );
    const writing = this.#writing;
    void writing.then(() => {
      if (this.#writing === writing) this.#writing = undefined;
    });
    return writing;
  }

  async #write(features: readonly FoundFeature[]): Promise<void> {
    if (features.length === 0) return rm(this.#path, { force: true });
    this.#owner ??= { pid: process.pid, started: startOf(process.pid) ?? "", ...this.#here() };
    const file: FeatureFile = { ...this.#owner, features };
    const temporary = `${this.#path}.tmp`;
    await writeFile(temporary, `${JSON.stringify(file)}\n`, { mode: 0o644 });
    await rename(temporary, this.#path);
  }

  /** Puts back all that is on record, and forgets it. For whom it was changed must be no more. */
  putBack(): Promise<boolean> {
    for (const feature of this.#features) this.#restore(feature);
    return this.#features.length === 0 && !this.#writing ? Promise.resolve(true) : this.keep([]);
  }

  /** Puts back what switches with this run directory left that were killed. What makes no sense costs one line. */
  recover(): void {
    for (const name of listOf(this.#dir)) {
      if (!FILE.test(name)) continue;
      const path = join(this.#dir, name);
      try {
        if (this.#recoverFrom(path)) rmSync(path, { force: true });
      } catch (error) {
        this.#log.warn(`${path}: ${(error as Error).message.split("\n")[0]}; it is removed`);
        rmSync(path, { force: true });
      }
    }
  }

  /** Whether the file has served. */
  #recoverFrom(path: string): boolean {
    if (statSync(path).size > MAX_BYTES) throw new Error("is too long for a record of devices' features");
    const file = parse(readFileSync(path, "utf8"));
    const here = this.#here();
    if (file.boot !== here.boot) return true;
    // Whoever it is of runs, or its devices are in another namespace, where another may be started.
    if (file.netns !== here.netns || startOf(file.pid) === file.started) return false;
    return file.features.map((feature) => this.#restore(feature)).every(Boolean);
  }

  /** Whether nothing is left to do. */
  #restore({ device: name, ifindex, feature, found }: FoundFeature): boolean {
    const device = new Device(this.#loadLibc(), name);
    try {
      if (!device.is(ifindex) || device.does(feature) === found) return true;
      const what = `${name}: ${feature} ${found ? "on" : "off"}`;
      const isDone = device.turn(feature, found);
      if (isDone) this.#log.info(`${what} again, as it was before a switch that ended changed it`);
      else this.#log.warn(`${what}, as it was before a switch that ended changed it, cannot be`);
      return isDone;
    } finally {
      device.close();
    }
  }

  #here(): Pick<Owner, "boot" | "netns"> {
    return {
      boot: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      netns: netnsCookie(this.#loadLibc()),
    };
  }

  #loadLibc(): Libc {
    this.#libc ??= loadLibc();
    return this.#libc;
  }
}

function listOf(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/** Throws an Error of one line for what is no record. */
function parse(text: string): FeatureFile {
  let file: Partial<FeatureFile>;
  try {
    file = JSON.parse(text) as Partial<FeatureFile>;
  } catch {
    throw new Error("is no record of devices' features (not JSON)");
  }
  const isRecord =
    Number.isSafeInteger(file?.pid) &&
    [file.started, file.boot, file.netns].every((part) => typeof part === "string") &&
    Array.isArray(file.features) &&
    file.features.every(
      (part: Partial<FoundFeature> | null) =>
        typeof part?.device === "string" &&
        Number.isSafeInteger(part.ifindex) &&
        isFeature(part.feature) &&
        typeof part.found === "boolean",
    );
  if (!isRecord) throw new Error("is no record of devices' features");
  return file as FeatureFile;
}

/** When a process began, in ticks since the machine did: the 22nd field, the 20th after the name (proc(5)). Undefined: there
 *  is none. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

function netnsCookie(libc: Libc): string {
  const fd = libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  const value = new DataView(new ArrayBuffer(8));
  const size = new Uint8Array(Uint32Array.of(8).buffer);
  const got = libc.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, new Uint8Array(value.buffer), size);
  libc.close(fd);
  return got === 0 ? value.getBigUint64(0, true).toString() : "";
}
