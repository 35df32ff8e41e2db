//! The expansion needs no import, no prelude, and makes no warning.

#![deny(warnings, clippy::pedantic)]

#[no_implicit_prelude]
mod bare {
    // Names that the expansion must not take for its own.
    pub struct Arc;
    pub struct Service;

    pub struct Posts<R>(pub R);

    #[::moleculer_macros::service(name = "posts", version = "beta", crate = ::moleculer_core)]
    impl<R: ::std::marker::Send + ::std::marker::Sync + 'static> Posts<R>
    where
        R: ::std::clone::Clone,
    {
        #[action]
        async fn r#type(
            &self,
            ctx: ::moleculer_core::Context,
            ::moleculer_core::State(_): ::moleculer_core::State<::std::sync::Arc<Self>>,
        ) -> ::moleculer_core::Result<u32> {
            ::std::result::Result::Ok(ctx.level())
        }

        #[cfg(any())]
        #[action]
        async fn gone(&self, Missing(_): Missing) -> ::moleculer_core::Result<()> {}

        #[event("a")]
        #[event("b")]
        async fn both(&self) -> ::moleculer_core::Result<()> {
            ::std::result::Result::Ok(())
        }

        #[started]
        #[stopped]
        async fn moment(&self) -> ::moleculer_core::Result<()> {
            ::std::result::Result::Ok(())
        }
    }

    #[::moleculer_macros::service(crate = ::moleculer_core)]
    #[cfg(any())]
    impl Missing {}
}

fn main() {
    let _ = (bare::Arc, bare::Service);
    let service = moleculer_core::IntoService::into_service(bare::Posts(5));
    assert_eq!(service.full_name(), "beta.posts");
    assert!(format!("{service:?}").contains(r#"actions: ["type"], events: ["a", "b"]"#));
}
