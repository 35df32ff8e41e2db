//! The built-in circuit breaker.

mod options;

pub use self::options::CircuitBreakerOptions;
