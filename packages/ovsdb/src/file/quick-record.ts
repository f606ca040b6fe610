import { type Atom, compareAtoms, ZERO_UUID } from "../schema/atom.js";
import type { Datum } from "../schema/datum.js";
import type { ColumnSchema } from "../schema/schema.js";
import { type BaseType, checkAtom } from "../schema/types.js";

// A large file is mostly records of one new row, in the compact JSON that every server writes. Read by JSON.parse, each
// costs a dozen objects that live for a moment, of shapes never seen before (a uuid is a member's name). This reader
// makes only what stays, and gives up on whatever is not plain: parseJson and replay then say what is wrong, if anything.

/** A row that a record makes: table, uuid, and columns with their values in turns. */
export interface QuickRow {
  readonly table: string;
  readonly uuid: string;
  readonly columns: readonly ColumnSchema[];
  readonly data: readonly Datum[];
}

/** Finds a column, or undefined where the schema lacks it. */
type FindColumn = (table: string, column: string) => ColumnSchema | undefined;

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

const UUID_LENGTH = 36;
/** Digits of an integer that is exact as a number. */
const SAFE_DIGITS = 15;

/** Thrown where the text is not plain. One object: it says nothing. */
const NOT_PLAIN = new Error("not plain");

export class QuickReader {
  readonly #find: FindColumn;
  /** Names that come again and again: of tables and columns, and the keys of maps. */
  readonly #names = new Map<string, string>();
  #bytes: Uint8Array & { latin1Slice(start: number, end: number): string } = Buffer.alloc(0) as never;
  #at = 0;

  constructor(find: FindColumn) {
    this.#find = find;
  }

  /** The one row that the record makes, or undefined where it does anything else or is not plain. `isKnown`: is there
   *  such a row already? Its record changes it, then. */
  read(bytes: Buffer, isKnown: (table: string, uuid: string) => boolean): QuickRow | undefined {
    this.#bytes = bytes as never;
    this.#at = 0;
    try {
      return this.#record(isKnown);
    } catch (error) {
      if (error === NOT_PLAIN) return undefined;
      throw error;
    }
  }

  #record(isKnown: (table: string, uuid: string) => boolean): QuickRow {
    this.#take(OPEN_BRACE);
    const table = this.#name();
    this.#take(COLON);
    this.#take(OPEN_BRACE);
    const uuid = this.#string();
    if (!isUuidText(uuid) || isKnown(table, uuid)) throw NOT_PLAIN;
    this.#take(COLON);
    this.#take(OPEN_BRACE);
    const columns: ColumnSchema[] = [];
    const data: Datum[] = [];
    if (!this.#skip(CLOSE_BRACE)) {
      do {
        const column = this.#find(table, this.#name());
        if (!column || column.index < 0 || columns.includes(column)) throw NOT_PLAIN;
        this.#take(COLON);
        columns.push(column);
        data.push(this.#datum(column));
      } while (this.#skip(COMMA));
      this.#take(CLOSE_BRACE);
    }
    this.#take(CLOSE_BRACE);
    while (this.#skip(COMMA)) this.#meta(this.#name());
    this.#take(CLOSE_BRACE);
    this.#take(NEWLINE);
    if (this.#at !== this.#bytes.length) throw NOT_PLAIN;
    return { table, uuid, columns, data };
  }

  /** A member beside the table; what it says matters to nobody here. */
  #meta(name: string): void {
    this.#take(COLON);
    if (name === "_date") this.#integer();
    else if (name === "_comment") this.#string();
    else if (name === "_is_diff") this.#boolean();
    else throw NOT_PLAIN;
  }

  #datum({ type }: ColumnSchema): Datum {
    const { key, value, min, max } = type;
    const keys: Atom[] = [];
    const values: Atom[] | null = value ? [] : null;
    if (value) {
      this.#word('["map",[');
      if (!this.#skip(CLOSE_BRACKET)) {
        do {
          this.#take(OPEN_BRACKET);
          keys.push(key.type === "string" ? this.#checked(key, this.#name()) : this.#atom(key));
          this.#take(COMMA);
          values!.push(this.#atom(value));
          this.#take(CLOSE_BRACKET);
        } while (this.#skip(COMMA));
        this.#take(CLOSE_BRACKET);
      }
      this.#take(CLOSE_BRACKET);
    } else if (this.#skipWord('["set",[')) {
      if (!this.#skip(CLOSE_BRACKET)) {
        do keys.push(this.#atom(key));
        while (this.#skip(COMMA));
        this.#take(CLOSE_BRACKET);
      }
      this.#take(CLOSE_BRACKET);
    } else keys.push(this.#atom(key));
    if (keys.length < min || keys.length > max) throw NOT_PLAIN;
    for (let i = 1; i < keys.length; i++) if (compareAtoms(keys[i - 1], keys[i]) >= 0) throw NOT_PLAIN;
    // Of the right length: an array that grew keeps room for more, in each row.
    return { keys: keys.slice(), values: values === null ? null : values.slice() };
  }

  #atom(base: BaseType): Atom {
    switch (base.type) {
      case "string":
        return this.#checked(base, this.#string());
      case "integer":
        return this.#checked(base, this.#integer());
      case "boolean":
        if (base.enum) throw NOT_PLAIN;
        return this.#boolean();
      case "uuid": {
        if (base.enum) throw NOT_PLAIN;
        this.#word('["uuid",');
        const uuid = this.#string();
        this.#take(CLOSE_BRACKET);
        if (!isUuidText(uuid)) throw NOT_PLAIN;
        return uuid;
      }
      default:
        throw NOT_PLAIN;
    }
  }

  #checked(base: BaseType, atom: Atom): Atom {
    checkAtom(base, atom);
    return atom;
  }

  /** A string, the same object as when it came before. */
  #name(): string {
    const text = this.#string();
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    if (this.#names.size < MAX_NAMES) this.#names.set(text, text);
    return text;
  }

  /** A string of ASCII without escapes. */
  #string(): string {
    const bytes = this.#bytes;
    if (bytes[this.#at] !== QUOTE) throw NOT_PLAIN;
    const start = this.#at + 1;
    let at = start;
    for (let byte = bytes[at]; byte !== QUOTE; byte = bytes[++at])
      // Beyond ASCII, a control character, an escape, or (undefined) the end.
      if (!(byte >= 0x20 && byte < 0x80) || byte === BACKSLASH) throw NOT_PLAIN;
    this.#at = at + 1;
    return at === start ? "" : bytes.latin1Slice(start, at);
  }

  #integer(): number {
    const bytes = this.#bytes;
    const isNegative = this.#skip(MINUS);
    const start = this.#at;
    let value = 0;
    let byte = bytes[this.#at];
    while (byte >= 0x30 && byte <= 0x39) {
      value = 10 * value + (byte - 0x30);
      byte = bytes[++this.#at];
    }
    const count = this.#at - start;
    const isWhole = byte === COMMA || byte === CLOSE_BRACKET || byte === CLOSE_BRACE;
    if (count === 0 || count > SAFE_DIGITS || !isWhole) throw NOT_PLAIN;
    return isNegative ? 0 - value : value;
  }

  #boolean(): boolean {
    if (this.#skipWord("true")) return true;
    this.#word("false");
    return false;
  }

  #word(word: string): void {
    if (!this.#skipWord(word)) throw NOT_PLAIN;
  }

  #skipWord(word: string): boolean {
    for (let i = 0; i < word.length; i++) if (this.#bytes[this.#at + i] !== word.charCodeAt(i)) return false;
    this.#at += word.length;
    return true;
  }

  #take(byte: number): void {
    if (this.#bytes[this.#at++] !== byte) throw NOT_PLAIN;
  }

  #skip(byte: number): boolean {
    if (this.#bytes[this.#at] !== byte) return false;
    this.#at++;
    return true;
  }
}

const MAX_NAMES = 1000;

/** In lower case, with its dashes. */
const isUuidText = (text: string): boolean => {
  if (text.length !== UUID_LENGTH) return false;
  for (let i = 0; i < UUID_LENGTH; i++) {
    const code = text.charCodeAt(i);
    const isHex = (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
    if (ZERO_UUID.charCodeAt(i) === MINUS ? code !== MINUS : !isHex) return false;
  }
  return true;
};
