/** The part of binary-parser 2.3 that parser.ts uses: the package's own types are out of reach of its
 *  `exports`. */
declare module "binary-parser" {
  interface Options {
    readonly length?: number;
    readonly formatter?: (value: never) => unknown;
    readonly type?: string | Parser;
  }
  export class Parser {
    endianness(order: "big" | "little"): this;
    seek(bytes: number): this;
    uint8(name: string, options?: Options): this;
    uint16(name: string, options?: Options): this;
    uint32(name: string, options?: Options): this;
    uint64(name: string, options?: Options): this;
    buffer(name: string, options: Options): this;
    array(name: string, options: Options): this;
    nest(name: string, options: Options): this;
    parse(bytes: Uint8Array): Record<string, unknown>;
    getCode(): string;
  }
}
