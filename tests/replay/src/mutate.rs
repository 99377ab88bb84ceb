//! Variations of inputs: bits are flipped, pieces are cut, copied, moved and put together, words are put in.

/// Longest variation.
const LONGEST: usize = 4096;
/// Put in everywhere: ends of lines and texts, numbers at the limits of types, characters that act on a terminal.
const WORDS: [&[u8]; 22] = [
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b"\"",
    b"\\",
    b"'",
    b",",
    b"=",
    b";",
    b"-1",
    b"0",
    b"4294967296",
    b"18446744073709551616",
    b"\x1b[2J",
    b"\xff",
    "\u{202e}".as_bytes(),
    "\u{85}".as_bytes(),
    "\u{130}".as_bytes(),
    b"null",
    b"_fleetdns.",
];

/// Makes variations of inputs, the same ones each time.
pub(crate) struct Mutator<'a> {
    inputs: &'a [Vec<u8>],
    /// What the inputs consist of.
    words: Vec<&'a [u8]>,
    state: u64,
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(inputs: &'a [Vec<u8>]) -> Self {
        let apart = |byte: &u8| !byte.is_ascii_alphanumeric();
        let mut words: Vec<&[u8]> = inputs.iter().flat_map(|input| input.split(apart)).collect();
        words.extend(inputs.iter().flat_map(|input| input.split_inclusive(|byte| *byte == b'\n')));
        words.sort_unstable();
        words.dedup();
        words.retain(|word| (1..=200).contains(&word.len()));
        Self { inputs, words, state: 0 }
    }

    pub(crate) fn next_input(&mut self) -> Vec<u8> {
        let mut data = self.input().to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut data);
        }
        data.truncate(LONGEST);
        data
    }

    fn change(&mut self, data: &mut Vec<u8>) {
        let (start, end) = self.range(data.len());
        match self.below(9) {
            0 => {
                let bit = 1 << self.below(8);
                data.iter_mut().skip(start).take(1).for_each(|byte| *byte ^= bit);
            }
            1 => drop(data.drain(start..end)),
            2 => data.truncate(start),
            3 => {
                let piece = data.get(start..end).unwrap_or_default().repeat(1 + self.below(20));
                data.splice(start..start, piece);
            }
            4 => {
                let piece: Vec<u8> = data.drain(start..end).collect();
                let at = self.below(data.len() + 1);
                data.splice(at..at, piece);
            }
            5 => {
                let other = self.input();
                let (from, to) = self.range(other.len());
                data.splice(start..end, other.get(from..to).unwrap_or_default().iter().copied());
            }
            6 => {
                let byte = u8::try_from(self.below(256)).unwrap_or_default();
                data.splice(start..start, [byte]);
            }
            7 => {
                let word = WORDS.get(self.below(WORDS.len())).copied().unwrap_or_default();
                data.splice(start..start, word.iter().copied());
            }
            _ => {
                let at = self.below(self.words.len());
                let word = self.words.get(at).copied().unwrap_or_default();
                data.splice(start..end, word.iter().copied());
            }
        }
    }

    fn input(&mut self) -> &'a [u8] {
        self.inputs.get(self.below(self.inputs.len())).map_or(&[], Vec::as_slice)
    }

    /// A piece of so many octets, more often a short one.
    fn range(&mut self, octets: usize) -> (usize, usize) {
        let start = self.below(octets + 1);
        let longest = if self.below(2) == 0 { 8 } else { octets };
        (start, octets.min(start + self.below(longest + 1)))
    }

    /// The next number below this one; 0 below none (SplitMix64).
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = usize::try_from((number ^ (number >> 31)) >> 1).unwrap_or_default();
        number.checked_rem(end).unwrap_or_default()
    }
}
