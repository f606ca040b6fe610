import { join } from "node:path";
import { check } from "./process.js";

/** Paths of PEM files. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** A certificate of 127.0.0.1 that vouches for itself, made in `dir` by openssl. */
export async function selfSigned(dir: string, name: string): Promise<Certificate> {
  const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-days", "2", "-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  await check(["openssl", "req", "-x509", ...curve, ...subject, "-keyout", key, "-out", cert]);
  return { key, cert };
}
