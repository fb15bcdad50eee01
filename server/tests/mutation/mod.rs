//! Random changes to requests.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

/// Makes one to four random changes: flips a bit, removes, repeats or inserts bytes, or cuts off the end.
pub fn mutate(bytes: &mut Vec<u8>, random: &mut Pcg32) {
    let mut below = |bound: usize| random.next_u32() as usize % bound.max(1);
    for _ in 0..=below(4) {
        let at = below(bytes.len());
        let end = (at + below(12)).min(bytes.len());
        match below(6) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << below(8)),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
            3 => {
                let new: Vec<u8> = (0..below(20)).map(|_| below(256) as u8).collect();
                bytes.splice(at..at, new);
            }
            4 => bytes.truncate(at),
            _ => {
                let special: &[u8] =
                    [&b"\r\n"[..], b"\0", b" ", b":", b"%00", b"99999999999999999999", b"chunked"][below(7)];
                bytes.splice(at..at, special.iter().copied());
            }
        }
    }
}
