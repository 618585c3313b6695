//! Assigns requests to users: a few users send much, most send little. The same seed gives the same
//! assignment.

/// The weight of the user of rank 1.
const HEAVIEST: u64 = 1_000_000;

/// `SplitMix64`, a small seeded generator that is good enough to spread requests.
#[derive(Clone, Debug)]
pub(super) struct SplitMix64(u64);

impl SplitMix64 {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Zipf's law over users: the user of rank r sends in proportion to 1/r.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    /// The sum of the weights up to each rank.
    sums: Vec<u64>,
}

impl Zipf {
    /// Weighs `users` users, at least one.
    pub(super) fn new(users: u16) -> Self {
        let sums = (1..=u64::from(users.max(1))).scan(0, |sum, rank| {
            *sum += HEAVIEST / rank;
            Some(*sum)
        });
        Self {
            sums: sums.collect(),
        }
    }

    pub(super) fn users(&self) -> usize {
        self.sums.len()
    }

    pub(super) fn total(&self) -> u64 {
        self.sums.last().copied().unwrap_or(1)
    }

    pub(super) fn weight(&self, user: usize) -> u64 {
        let before = user.checked_sub(1).map_or(0, |before| self.sums[before]);
        self.sums[user] - before
    }

    /// Picks the next sender.
    pub(super) fn pick(&self, random: &mut SplitMix64) -> usize {
        let point = random.next() % self.total();
        self.sums.partition_point(|sum| *sum <= point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(seed: u64, requests: usize) -> Vec<usize> {
        let zipf = Zipf::new(50);
        let mut random = SplitMix64::new(seed);
        (0..requests).map(|_| zipf.pick(&mut random)).collect()
    }

    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = SplitMix64::new(1_234_567);
        let first = [random.next(), random.next()];
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn the_same_seed_picks_the_same_users() {
        assert_eq!(picks(1, 1_000), picks(1, 1_000));
        assert_ne!(picks(1, 1_000), picks(2, 1_000));
    }

    #[test]
    fn few_users_send_most() {
        let mut counts = [0_u32; 50];
        for user in picks(1, 10_000) {
            counts[user] += 1;
        }
        assert!((2_000..2_500).contains(&counts[0]), "{counts:?}");
        assert!(counts[0] > counts[4] * 3, "{counts:?}");
        assert!(counts[..10].iter().sum::<u32>() > 6_000, "{counts:?}");
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }

    #[test]
    fn weights_add_up() {
        let zipf = Zipf::new(3);
        let weights: Vec<u64> = (0..zipf.users()).map(|user| zipf.weight(user)).collect();
        assert_eq!(weights, [1_000_000, 500_000, 333_333]);
        assert_eq!(zipf.total(), weights.iter().sum::<u64>());
        assert_eq!(Zipf::new(0).pick(&mut SplitMix64::new(1)), 0);
    }
}
