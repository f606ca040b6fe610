/** A source of numbers in [0, 1) that a seed fixes: the lab's only source of chance. */
export type Random = () => number;

/** Marsaglia's xorshift32 started from a well mixed seed. Streams of different `name`s do not depend on each
 *  other: adding a link leaves the chances of the others as they were. */
export function seededRandom(seed: number, name = ""): Random {
  let state = seed >>> 0;
  const mix = (value: number): void => {
    state = Math.imul(state ^ value ^ (state >>> 15), 0x2c1b3c6d) >>> 0;
    state = Math.imul(state ^ (state >>> 12), 0x297a2d39) >>> 0;
  };
  mix(0x9e3779b9);
  for (let i = 0; i < name.length; i++) mix(name.charCodeAt(i));
  state ||= 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state / 0x1_0000_0000;
  };
}
