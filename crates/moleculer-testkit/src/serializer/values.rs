//! A node that passes dynamic values on changes nothing.

use bytes::Bytes;
use moleculer_protocol::{
    BigInt, Date, Extended, Object, Packet, PacketBody, PacketKind, Payload, Value,
};
use proptest::prelude::*;

use super::{
    Case, Extra, Outcome, ensure, samples,
    subject::{Subject, for_all, payload, refused},
};
use crate::compare;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("values::plain_ones_arrive_unchanged_everywhere", plain),
        Case::new("values::any_arrives_unchanged", generated),
    ];
    cases.extend(Extra::VALUES.map(|extra| {
        let name = format!("values::{extra:?}_is_as_declared");
        Case::new(name, move |subject| as_declared(subject, extra))
    }));
    cases
}

/// Any value of the kinds that all serializers carry, and of those in
/// `extras`.
///
/// ```
/// use moleculer_protocol::Value;
/// use moleculer_testkit::serializer::{Extra, any_value};
/// use proptest::prelude::*;
///
/// proptest!(|(value in any_value(&[Extra::Date]))| {
///     prop_assert!(!matches!(value, Value::Bytes(_)));
/// });
/// ```
pub fn any_value(extras: &[Extra]) -> BoxedStrategy<Value> {
    let mut leaf = vec![
        Just(Value::Null).boxed(),
        any::<bool>().prop_map(Value::from).boxed(),
        (-(1_i64 << 53)..1 << 53).prop_map(Value::from).boxed(),
        (-70_000_i64..70_000).prop_map(Value::from).boxed(),
        any::<f64>().prop_map(plain_float).boxed(),
        any::<f32>().prop_map(|n| plain_float(n.into())).boxed(),
        ".{0,40}".prop_map(Value::from).boxed(),
    ];
    leaf.extend(extras.iter().filter_map(|extra| extra_leaf(*extra)));
    let extras = extras.to_vec();
    prop::strategy::Union::new(leaf)
        .prop_recursive(6, 200, 20, move |inner| compound(&inner, &extras))
        .boxed()
}

/// No -0, and nothing that JSON shows as an integer of more than 53 bits.
fn plain_float(n: f64) -> Value {
    let wide = n.fract() == 0.0 && (9e15..2e19).contains(&n.abs());
    // IEEE 754: -0 + 0 is 0.
    Value::from(if wide { n * 1e10 } else { n + 0.0 })
}

fn extra_leaf(extra: Extra) -> Option<BoxedStrategy<Value>> {
    let bytes = |len| prop::collection::vec(any::<u8>(), 0..len).prop_map(Bytes::from);
    let extended = |it: Extended| Value::from(it);
    Some(match extra {
        Extra::WideInt => {
            prop_oneof![any::<i64>().prop_map(Value::from), any::<u64>().prop_map(Value::from),]
                .boxed()
        }
        Extra::Bytes => bytes(300).prop_map(Value::from).boxed(),
        Extra::NegativeZero => Just((-0.0).into()).boxed(),
        Extra::NonFinite => prop::sample::select(extra.samples()).boxed(),
        // Seconds in a float, as CBOR has them, tell milliseconds so far apart.
        Extra::Date => (-1_000_000_000_000_000_i64..1_000_000_000_000_000)
            .prop_map(|ms| Value::Date(Date(ms as f64)))
            .boxed(),
        Extra::InvalidDate => Just(Value::Date(Date(f64::NAN))).boxed(),
        Extra::BigInt => "-?[1-9][0-9]{0,60}"
            .prop_filter_map("digits", |digits| BigInt::parse(&digits))
            .prop_map(Extended::BigInt)
            .prop_map(extended)
            .boxed(),
        Extra::TypedArray => bytes(9)
            .prop_map(|bytes| Extended::TypedArray { tag: 64, bytes })
            .prop_map(extended)
            .boxed(),
        Extra::RegExp => (".{0,20}", "[dgimsuy]{0,3}")
            .prop_map(|(source, flags)| Extended::RegExp { source, flags })
            .prop_map(extended)
            .boxed(),
        _ => return None,
    })
}

fn compound(inner: &BoxedStrategy<Value>, extras: &[Extra]) -> BoxedStrategy<Value> {
    let list = |item: BoxedStrategy<Value>| prop::collection::vec(item, 0..20);
    let or_undefined = prop_oneof![9 => inner.clone(), 1 => Just(Value::Undefined)].boxed();
    let element = match extras.contains(&Extra::Undefined) {
        true => or_undefined.clone(),
        false => inner.clone(),
    };
    let members = prop::collection::vec((".{0,20}", or_undefined), 0..20);
    let mut all = vec![
        list(element).prop_map(Value::Array).boxed(),
        members.prop_map(|members| members.into_iter().collect::<Object>().into()).boxed(),
    ];
    if extras.contains(&Extra::Map) {
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..9);
        all.push(pairs.prop_map(|pairs| Extended::Map(pairs).into()).boxed());
    }
    if extras.contains(&Extra::Set) {
        all.push(list(inner.clone()).prop_map(|items| Extended::Set(items).into()).boxed());
    }
    prop::strategy::Union::new(all).boxed()
}

/// Where a packet has values.
#[derive(Clone, Copy, Debug)]
enum Place {
    Params,
    Data,
    EventData,
    Meta,
    ErrorData,
    Settings,
}

impl Place {
    const PAYLOADS: [Self; 3] = [Self::Params, Self::Data, Self::EventData];
    const OTHERS: [Self; 3] = [Self::Meta, Self::ErrorData, Self::Settings];

    const fn kind(self) -> PacketKind {
        match self {
            Self::Params | Self::Meta => PacketKind::Request,
            Self::Data | Self::ErrorData => PacketKind::Response,
            Self::EventData => PacketKind::Event,
            Self::Settings => PacketKind::Info,
        }
    }

    /// The member that an error names.
    const fn member(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Data | Self::EventData => "data",
            Self::Meta => "meta",
            Self::ErrorData => "error",
            Self::Settings => "services",
        }
    }

    fn packet(self, subject: &Subject, value: Value) -> Packet {
        let mut packet = samples::full(self.kind(), subject.version());
        match (self, &mut packet.body) {
            (Self::Params, PacketBody::Request(request)) => request.params = value.into(),
            (Self::Meta, PacketBody::Request(request)) => {
                request.meta = Object::from([("value", value)]);
            }
            (Self::Data, PacketBody::Response(response)) => response.data = value.into(),
            (Self::ErrorData, PacketBody::Response(response)) => {
                let mut error = samples::error();
                error.data = Some(value);
                response.data = Payload::nothing();
                response.error = Some(error);
            }
            (Self::EventData, PacketBody::Event(event)) => event.data = value.into(),
            (Self::Settings, PacketBody::Info(info)) => {
                info.services = vec![Object::from([("settings", value)]).into()].into();
            }
            _ => {}
        }
        packet
    }

    fn value(self, packet: &Packet) -> Outcome<Value> {
        let value = match &packet.body {
            PacketBody::Request(request) if matches!(self, Self::Meta) => request.meta.get("value"),
            PacketBody::Response(response) if matches!(self, Self::ErrorData) => {
                response.error.as_ref().and_then(|error| error.data.as_ref())
            }
            PacketBody::Info(info) => info.services.first().and_then(|it| it.pointer("settings")),
            _ => return payload(packet).to_value().map_err(|error| error.to_string()),
        };
        Ok(value.cloned().unwrap_or(Value::Undefined))
    }
}

/// What becomes of a value on its way, unless it is refused.
fn relay(subject: &Subject, place: Place, value: &Value) -> Outcome<Value> {
    place.value(&subject.send(&place.packet(subject, value.clone()))?)
}

fn expect_unchanged(subject: &Subject, place: Place, value: &Value) -> Outcome {
    let found = relay(subject, place, value).map_err(|e| format!("{}: {e}", place.member()))?;
    match compare::difference(value, &found) {
        Some(difference) => Err(format!("{}, {}: {difference}", place.kind(), place.member())),
        None => Ok(()),
    }
}

fn plain(subject: &Subject) -> Outcome {
    for place in [Place::PAYLOADS, Place::OTHERS].concat() {
        expect_unchanged(subject, place, &samples::plain())?;
    }
    expect_unchanged(subject, Place::Params, &samples::long())?;
    let Value::Object(members) = samples::plain() else { return Ok(()) };
    let values = members.into_iter().flat_map(|(_, value)| match value {
        Value::Array(items) => items,
        other => vec![other],
    });
    values.into_iter().try_for_each(|value| {
        Place::PAYLOADS.iter().try_for_each(|&place| expect_unchanged(subject, place, &value))
    })
}

fn generated(subject: &Subject) -> Outcome {
    for_all(&any_value(subject.extras()), |value| {
        if !matches!(value, Value::Bytes(_)) || subject.carries(Extra::WholeBytes) {
            expect_unchanged(subject, Place::Params, &value)?;
        }
        expect_unchanged(subject, Place::Meta, &value)
    })
}

/// Declared kinds arrive; others are refused, or become what no further node
/// changes again.
fn as_declared(subject: &Subject, extra: Extra) -> Outcome {
    let declared = subject.carries(extra);
    let mut all_arrive = true;
    for (place, value) in extra.samples().into_iter().flat_map(|value| contexts(extra, &value)) {
        if declared {
            expect_unchanged(subject, place, &value)?;
            continue;
        }
        let packet = place.packet(subject, value.clone());
        if let Err(error) = subject.serializer().encode(&packet, &mut bytes::BytesMut::new()) {
            let error = refused(packet.kind(), &error.to_string())?;
            ensure!(error.contains(place.member()), "{error:?} does not name {}", place.member());
            all_arrive = false;
            continue;
        }
        let found = relay(subject, place, &value)?;
        all_arrive &= compare::difference(&value, &found).is_none();
        if let (Value::Array(sent), Value::Array(found)) = (&value, &found) {
            let ends = sent.first() == found.first() && sent.last() == found.last();
            ensure!(ends, "{value:?} became {found:?}: what stands beside it changed");
        }
        expect_unchanged(subject, place, &found).map_err(|error| {
            format!("{value:?} became {found:?}, which the next node changes again: {error}")
        })?;
    }
    ensure!(declared || !all_arrive, "it arrives: declare Extra::{extra:?}");
    Ok(())
}

/// Where such a value can stand, and what stands around it.
fn contexts(extra: Extra, value: &Value) -> Vec<(Place, Value)> {
    let mut forms = Vec::new();
    if extra != Extra::WholeBytes {
        forms.push(Value::Array(vec!["before".into(), value.clone(), "after".into()]));
    }
    if !matches!(extra, Extra::WholeBytes | Extra::Undefined) {
        forms.push(Object::from([("a", value.clone()), ("b", 1.into())]).into());
    }
    let whole = (!matches!(extra, Extra::Bytes | Extra::Undefined)).then(|| value.clone());
    let inside = forms.into_iter().flat_map(|form| {
        [Place::PAYLOADS, Place::OTHERS].concat().into_iter().map(move |it| (it, form.clone()))
    });
    let whole = whole.into_iter().flat_map(|form| Place::PAYLOADS.map(|it| (it, form.clone())));
    inside.chain(whole).collect()
}
