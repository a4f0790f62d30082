//! Badges: what the kernel tells a receiver about the capability that was used.
//!
//! The badge *is* the grant: the kernel delivers it and no component can choose it, so an object
//! authorises a request by its badge alone, with no table and no lookup.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Microkit's mark for a message that came through an endpoint.
const ENDPOINT: u64 = 1 << 63;
/// Microkit's mark for a fault message.
const FAULT: u64 = 1 << 62;

const GENERATION_SHIFT: u32 = 48;
const METHODS_SHIFT: u32 = 16;

/// A badge as the kernel delivers it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Badge(pub u64);

/// Who sent a message, read from its badge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Through a grant.
    Grant(GrantBadge),
    /// Through a static channel, by protected procedure call. The channel id is below 64.
    Channel(u8),
    /// The kernel, for a fault. At the manager: of the component with this number in the policy. At
    /// any other protection domain: of the child with this id.
    Fault(u8),
    /// One or more notifications: bit n is channel (or granted bit) n.
    Notification(u64),
}

impl Badge {
    /// Reads the badge. Total: each of the 2^64 badges has exactly one meaning.
    pub const fn source(self) -> Source {
        if self.0 & ENDPOINT == 0 {
            return if self.0 & FAULT != 0 {
                Source::Fault((self.0 & 0x3f) as u8)
            } else {
                Source::Notification(self.0)
            };
        }
        // A grant has at least one method; a Microkit channel badge has none.
        match GrantBadge::from_badge(self) {
            Some(grant) => Source::Grant(grant),
            None => Source::Channel((self.0 & 0x3f) as u8),
        }
    }

    /// The badge of a protected procedure call on channel `id`, as Microkit sets it.
    pub const fn channel(id: u8) -> Badge {
        Badge(ENDPOINT | id as u64)
    }

    /// The badge of a fault message about component, or child, `number`, which is below 64.
    pub const fn fault(number: u8) -> Badge {
        Badge(FAULT | number as u64)
    }
}

/// A grant as its object sees it. Holding one proves that the kernel delivered it (on the object's
/// side), or that its fields fit the badge (on the manager's).
///
/// Bits of the badge: 63 set, 62 clear, 48 to 61 generation, 16 to 47 method mask, 0 to 15 index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GrantBadge {
    generation: Generation,
    methods: MethodSet,
    index: u16,
}

impl GrantBadge {
    /// A badge for the grant at `index` of the manager's table; `None` where `methods` is empty,
    /// since a badge without methods would read as a Microkit channel.
    pub const fn new(index: u16, generation: Generation, methods: MethodSet) -> Option<Self> {
        if methods.is_empty() {
            return None;
        }
        Some(Self {
            generation,
            methods,
            index,
        })
    }

    /// Reads a delivered badge; `None` where it is not a grant's.
    pub const fn from_badge(badge: Badge) -> Option<Self> {
        if badge.0 & ENDPOINT == 0 || badge.0 & FAULT != 0 {
            return None;
        }
        let generation = Generation((badge.0 >> GENERATION_SHIFT) as u16 & Generation::MAX.0);
        Self::new(
            badge.0 as u16,
            generation,
            MethodSet((badge.0 >> METHODS_SHIFT) as u32),
        )
    }

    /// The badge to mint with.
    pub const fn badge(self) -> Badge {
        Badge(
            ENDPOINT
                | (self.generation.0 as u64) << GENERATION_SHIFT
                | (self.methods.0 as u64) << METHODS_SHIFT
                | self.index as u64,
        )
    }

    /// Position in the manager's grant table.
    pub const fn index(self) -> u16 {
        self.index
    }

    /// How often that position was used before.
    pub const fn generation(self) -> Generation {
        self.generation
    }

    /// The methods that the holder may call.
    pub const fn methods(self) -> MethodSet {
        self.methods
    }
}

/// Tells uses of one grant index apart; 14 bits in the badge.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(try_from = "u16")]
pub struct Generation(u16);

impl Generation {
    /// The last generation an index can have; after it the index is never used again.
    pub const MAX: Generation = Generation((1 << 14) - 1);

    /// The generation with this number; `None` above [`Generation::MAX`].
    pub const fn new(number: u16) -> Option<Self> {
        if number > Self::MAX.0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// The next generation; `None` after the last.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// The generation's number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// A number that does not fit into its bits of a badge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge {
    /// The number.
    pub number: u16,
    /// The largest that fits.
    pub largest: u16,
}

/// A method of an interface, 0 to 31.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8")]
pub struct Method(u8);

impl Method {
    /// Methods that an interface can have: one bit each in the badge.
    pub const COUNT: u8 = 32;

    /// Method number `number`; `None` from [`Method::COUNT`] up.
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The method's number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A set of methods of one interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct MethodSet(pub u32);

impl MethodSet {
    /// No method.
    pub const EMPTY: MethodSet = MethodSet(0);

    /// The set with `method` added.
    #[must_use]
    pub const fn with(self, method: Method) -> Self {
        Self(self.0 | 1 << method.0)
    }

    /// Whether `method` is in the set.
    pub const fn contains(self, method: Method) -> bool {
        self.0 & 1 << method.0 != 0
    }

    /// Whether every method of `self` is in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether the set has no method.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The methods in rising order.
    pub fn iter(self) -> impl Iterator<Item = Method> {
        (0..Method::COUNT)
            .map(Method)
            .filter(move |method| self.contains(*method))
    }
}

impl TryFrom<u16> for Generation {
    type Error = TooLarge;

    fn try_from(number: u16) -> Result<Self, TooLarge> {
        let largest = Self::MAX.0;
        Self::new(number).ok_or(TooLarge { number, largest })
    }
}

impl TryFrom<u8> for Method {
    type Error = TooLarge;

    fn try_from(number: u8) -> Result<Self, TooLarge> {
        Self::new(number).ok_or(TooLarge {
            number: number.into(),
            largest: (Self::COUNT - 1).into(),
        })
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, largest } = self;
        write!(
            f,
            "{number} is above {largest}, the largest that a badge holds"
        )
    }
}

impl core::error::Error for TooLarge {}

impl fmt::Debug for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MethodSet({:#010x})", self.0)
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        methods.into_iter().fold(Self::EMPTY, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_badge_survives_the_kernel() {
        for (index, generation, methods) in [
            (0, 0, 1),
            (65_535, 16_383, u32::MAX),
            (7, 300, 0x8000_0000),
            (4_096, 1, 2),
        ] {
            let generation = Generation::new(generation).unwrap();
            let grant = GrantBadge::new(index, generation, MethodSet(methods)).unwrap();
            assert_eq!(grant.badge().source(), Source::Grant(grant));
            assert_eq!(grant.badge().0 >> 62, 0b10);
        }
    }

    #[test]
    fn a_channel_badge_is_never_a_grant() {
        for id in 0..62 {
            assert_eq!(Badge::channel(id).source(), Source::Channel(id));
        }
        assert_eq!(
            GrantBadge::new(3, Generation::default(), MethodSet::EMPTY),
            None
        );
    }

    #[test]
    fn notifications_and_faults_are_told_apart() {
        assert_eq!(Badge(0b101).source(), Source::Notification(0b101));
        for number in 0..62 {
            assert_eq!(Badge::fault(number).source(), Source::Fault(number));
        }
        assert_eq!(Badge::fault(5), Badge(1 << 62 | 5));
    }

    #[test]
    fn numbers_that_no_badge_holds_do_not_decode() {
        assert_eq!(postcard::from_bytes(&[31]), Ok(Method(31)));
        assert!(postcard::from_bytes::<Method>(&[32]).is_err());
        assert_eq!(
            postcard::from_bytes(&[0xff, 0x7f]),
            Ok(Generation::MAX),
            "16,383 as a varint"
        );
        assert!(postcard::from_bytes::<Generation>(&[0x80, 0x80, 0x01]).is_err());
    }

    #[test]
    fn generations_end() {
        assert_eq!(Generation::MAX.next(), None);
        assert_eq!(Generation::new(16_384), None);
        assert_eq!(Generation::default().next(), Generation::new(1));
    }
}
