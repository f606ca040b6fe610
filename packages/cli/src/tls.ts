import type { TlsOptions } from "@sluice/runtime";
import type { OptionSpecs } from "./options.js";

/** The files of a TLS identity, as every OVS tool names them. */
export const TLS_OPTIONS = {
  "private-key": { short: "p", value: true },
  certificate: { short: "c", value: true },
  "ca-cert": { short: "C", value: true },
} as const satisfies OptionSpecs;

type TlsFiles = { readonly [K in keyof typeof TLS_OPTIONS]?: string | undefined };

/** The options that were given, as streams take them. */
export function tlsFiles(options: TlsFiles): TlsOptions {
  const { "private-key": private_key, certificate, "ca-cert": ca_cert } = options;
  const files = Object.entries({ private_key, certificate, ca_cert });
  return Object.fromEntries(files.filter(([, file]) => file));
}
