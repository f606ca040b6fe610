/** An OpenFlow error as the specification names it: [OFPET_…, code]. */
export type ErrorRef = readonly [error_type: string, error_code: string];

/** Bytes that are not a valid message. `error_type` and `error_code` are what an OFPT_ERROR answer should
 *  carry (OpenFlow 1.3.5 §7.4.4), `path` is the place in the value, `offset` counts bytes from the message's
 *  first. */
export class OfDecodeError extends Error {
  override readonly name = "OfDecodeError";
  error_type: string;
  error_code: string;
  path = "";
  readonly offset: number;
  readonly detail: string;

  constructor(ref: ErrorRef, offset: number, detail: string) {
    super(detail);
    this.error_type = ref[0];
    this.error_code = ref[1];
    this.offset = offset;
    this.detail = detail;
    describe(this);
  }
}

function describe(error: OfDecodeError): void {
  const where = error.path === "" ? "" : `${error.path}: `;
  error.message = `${error.error_code}: ${where}${error.detail} (offset ${error.offset})`;
}

/** A value that has no encoding. `path` is the place in the value. */
export class EncodeError extends Error {
  override readonly name = "EncodeError";
  path: string;
  readonly detail: string;

  constructor(path: string, detail: string) {
    super(`${path}: ${detail}`);
    this.path = path;
    this.detail = detail;
  }
}

const join = (segment: string, path: string): string =>
  path === "" || path.startsWith("[") ? segment + path : `${segment}.${path}`;

/** Puts `segment` before the error's path, while it travels up. Anything else passes untouched. */
export function within(error: unknown, segment: string): unknown {
  if (error instanceof OfDecodeError) {
    error.path = join(segment, error.path);
    describe(error);
  } else if (error instanceof EncodeError) {
    error.path = join(segment, error.path);
    error.message = `${error.path}: ${error.detail}`;
  }
  return error;
}

/** Gives the error another OpenFlow type and code, keeping the place. */
export function recode(error: OfDecodeError, ref: ErrorRef): OfDecodeError {
  error.error_type = ref[0];
  error.error_code = ref[1];
  describe(error);
  return error;
}
