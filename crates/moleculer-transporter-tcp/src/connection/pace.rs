//! Whether to write at once or to collect: [`Pace`].

/// Packets written directly before it is tried again whether others come at
/// the same time.
const DIRECT: u32 = 64;
/// Turns with a single packet after which nothing is gained by collecting.
const SINGLE_TURNS: u32 = 8;

/// Decides for one connection whether whoever publishes a packet writes it,
/// or a task writes all that come in one turn of the runtime.
///
/// Writing directly is best for calls one after the other: no task, perhaps
/// on a sleeping thread, has to be woken. Under load one system call for many
/// packets is best. Which of them it is, only trying can tell: once in a
/// while a packet is queued, and if others join it all are, until none do.
#[derive(Debug)]
pub(super) struct Pace {
    /// Packets that may still be written directly.
    direct: u32,
    /// Turns in a row that had a single packet.
    single_turns: u32,
    /// Packets queued in this turn.
    packets: u32,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { direct: DIRECT, single_turns: SINGLE_TURNS, packets: 0 }
    }

    /// Whether the next packet may be written directly.
    pub(super) const fn is_direct(&mut self) -> bool {
        let direct = self.direct > 0;
        self.direct = self.direct.saturating_sub(1);
        direct
    }

    pub(super) const fn queued(&mut self) {
        self.packets = self.packets.saturating_add(1);
    }

    /// Everything queued is written.
    pub(super) fn turn_ended(&mut self) {
        let single = std::mem::take(&mut self.packets) <= 1;
        self.single_turns = if single { (self.single_turns + 1).min(SINGLE_TURNS) } else { 0 };
        self.direct = if self.single_turns == SINGLE_TURNS { DIRECT } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(pace: &mut Pace, packets: u32) {
        (0..packets).for_each(|_| pace.queued());
        pace.turn_ended();
    }

    #[test]
    fn it_follows_the_load() {
        let mut pace = Pace::new();
        assert!((0..DIRECT).all(|_| pace.is_direct()));
        assert!(!pace.is_direct(), "once in a while it is tried whether others come");
        turn(&mut pace, 1);
        assert!(pace.is_direct(), "none came");
        turn(&mut pace, 2);
        for _ in 1..SINGLE_TURNS {
            assert!(!pace.is_direct(), "others came lately");
            turn(&mut pace, 1);
        }
        turn(&mut pace, 1);
        assert!(pace.is_direct());
    }
}
