//! Named arguments and typed clients.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use moleculer_core::{
    BrokerBuilder, ByteStream, Context, Error, ErrorKind, FromContext, IntoService, Meta, Object,
    Params, Plugins, Result, Service,
};
use moleculer_macros::{ActionError, service};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn broker(service: impl IntoService) -> BrokerBuilder {
    BrokerBuilder::new(Plugins::core()).node_id("node").service(service)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Post {
    id: u64,
    title: String,
}

/// A result that callers can not read back.
#[derive(Serialize)]
struct WriteOnly;

/// Params that callers can not write.
#[derive(Deserialize)]
struct ReadOnly;

#[derive(Debug, ActionError)]
#[action_error(crate = moleculer_core)]
enum PostError {
    #[action_error(code = 404, type = "POST_NOT_FOUND", message = "no post {id}")]
    NotFound { id: u64 },
    #[action_error(other)]
    Other(Error),
}

/// Who calls.
struct CurrentUser(String);

impl<S> FromContext<S> for CurrentUser {
    fn from_context(ctx: &Context, _: &S) -> Result<Self> {
        let meta = ctx.meta();
        let name = meta.get("user").and_then(|user| user.as_str());
        Ok(Self(name.unwrap_or("nobody").to_owned()))
    }
}

type Listed = Result<Vec<Post>>;

struct Posts;

#[service(version = 2, crate = moleculer_core)]
impl Posts {
    /// Returns one post.
    #[action]
    async fn get(
        &self,
        id: u64,
        /// Whether to write it large.
        #[serde(default)]
        upper_case: bool,
        /// What to write with it; skipped if it is absent.
        title: Option<String>,
    ) -> Result<Post, PostError> {
        if id == 0 {
            return Err(PostError::NotFound { id });
        }
        let title = title.unwrap_or_else(|| format!("Post {id}"));
        let title = if upper_case { title.to_uppercase() } else { title };
        Ok(Post { id, title })
    }

    #[action(name = "createOne", visibility = "public")]
    async fn create(&self, ctx: Context, Params(mut post): Params<Post>) -> Result<Post> {
        post.title = format!("{} {}", post.title, ctx.level());
        Ok(post)
    }

    #[action(rename_all = "camelCase")]
    async fn mine(
        &self,
        Meta(meta): Meta<Object>,
        #[extract] user: CurrentUser,
        #[serde(rename = "limit")] max: usize,
        sort_by: String,
    ) -> Result<String> {
        Ok(format!("{} {max} {sort_by} {}", user.0, meta.len()))
    }

    #[action]
    async fn list(&self) -> Listed {
        Ok(vec![Post { id: 1, title: "One".into() }])
    }

    #[action]
    async fn opaque(&self) -> Result<impl Serialize + Send + Sync + use<>> {
        Ok(json!({"opaque": true}))
    }

    #[action]
    async fn one_way(&self, Params(ReadOnly): Params<ReadOnly>) -> Result<WriteOnly> {
        Ok(WriteOnly)
    }

    #[action]
    async fn copy(&self, mut source: ByteStream, prefix: String) -> Result<ByteStream> {
        let mut chunks = vec![Ok(prefix.into())];
        while let Some(chunk) = source.next().await {
            chunks.push(chunk);
        }
        Ok(ByteStream::new(futures_util::stream::iter(chunks)))
    }

    #[action(visibility = "private")]
    async fn secret(&self, key: String) -> Result<String> {
        Ok(key)
    }

    /// Calls the others as a client.
    #[action]
    async fn nested(&self, ctx: Context) -> Result<Post> {
        let posts = Self::client(&ctx);
        posts.create(Post { id: 3, title: "Level".into() }).await
    }

    #[event("posts.renamed")]
    async fn renamed(&self, id: u64, title: String) -> Result<()> {
        if title.is_empty() {
            Err(Error::client(422, "EMPTY", format!("post {id}")))
        } else {
            Ok(())
        }
    }
}

#[tokio::test]
async fn named_arguments_are_members_of_the_params() -> Result<()> {
    let broker = broker(Posts).start().await?;
    let post: Post = broker.call("v2.posts.get", json!({"id": 5})).await?;
    assert_eq!(post, Post { id: 5, title: "Post 5".into() });
    let params = json!({"id": 5, "title": "five", "upper_case": true});
    let post: Post = broker.call("v2.posts.get", params).await?;
    assert_eq!(post.title, "FIVE");

    let missing: Result<Post> = broker.call("v2.posts.get", json!({"title": "x"})).await;
    let missing = missing.expect_err("the id is missing");
    assert_eq!(missing.kind(), &ErrorKind::Validation);

    let params = PostsGetParams { id: 7, upper_case: false, title: None };
    assert_eq!(serde_json::to_value(&params).expect("json"), json!({"id": 7, "upper_case": false}));
    let post: Post = broker.call("v2.posts.get", params.clone()).await?;
    assert_eq!(post.id, params.id);

    let params = json!({"limit": 2, "sortBy": "id"});
    let mine: String = broker.call("v2.posts.mine", params).meta([("user", "Ada")]).await?;
    assert_eq!(mine, "Ada 2 id 1");
    broker.stop().await
}

#[tokio::test]
async fn events_have_named_arguments_too() -> Result<()> {
    let broker = broker(Posts).start().await?;
    let posts = broker.local_service("v2.posts").expect("is here");
    let renamed = PostsRenamedParams { id: 4, title: String::new() };
    let error = posts.handle_event("posts.renamed", renamed).await.expect_err("it is empty");
    assert_eq!(error.message(), "post 4");
    posts.handle_event("posts.renamed", json!({"id": 4, "title": "x"})).await?;
    broker.stop().await
}

#[tokio::test]
async fn methods_are_called_as_they_are_written() {
    let post = Posts.get(2, true, None).await;
    assert_eq!(post.ok(), Some(Post { id: 2, title: "POST 2".into() }));
    let user = CurrentUser("Eve".into());
    let mine = Posts.mine(Meta(Object::new()), user, 1, "id".into()).await;
    assert_eq!(mine.ok().as_deref(), Some("Eve 1 id 0"));
}

#[tokio::test]
async fn a_client_has_a_method_for_each_action() -> Result<()> {
    let broker = broker(Posts).start().await?;
    let posts = Posts::client(&broker);
    let post = posts.get(5, false, Some("five".into())).timeout(Duration::from_secs(1)).await;
    assert_eq!(post.ok(), Some(Post { id: 5, title: "five".into() }));
    let lost = posts.get(0, false, None).await;
    assert!(matches!(lost, Err(PostError::NotFound { id: 0 })), "{lost:?}");

    let created = posts.create(Post { id: 1, title: "Level".into() }).await?;
    assert_eq!(created.title, "Level 1");
    assert_eq!(posts.nested().await?.title, "Level 2", "the context goes on");
    assert_eq!(posts.list().await?.len(), 1);
    assert_eq!(posts.opaque::<Value>().await?, json!({"opaque": true}));
    let mine = posts.mine(3, "title".into()).meta([("user", "Bob")]).await?;
    assert_eq!(mine, "Bob 3 title 1");

    let source = ByteStream::new(futures_util::stream::iter([Ok::<_, Error>("b"), Ok("c")]));
    let mut copied = posts.copy("a".into(), source).await?;
    let mut text = Vec::new();
    while let Some(chunk) = copied.next().await {
        text.extend_from_slice(&chunk?);
    }
    assert_eq!(text, b"abc");
    broker.stop().await
}

#[tokio::test]
async fn a_client_can_call_a_service_of_another_name() -> Result<()> {
    let other = Service::builder("archive").version(3).mixin(Posts).build();
    let broker = broker(other).start().await?;
    let archive = PostsClient::new(&broker).named("v3.archive");
    assert_eq!(archive.get(5, false, None).await.ok().map(|post| post.id), Some(5));
    assert_eq!(archive.create(Post { id: 6, title: String::new() }).await?.id, 6);
    let lost = Posts::client(&broker).get(5, false, None).await;
    let Err(PostError::Other(error)) = lost else { panic!("{lost:?}") };
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
    broker.stop().await
}

/// Calls that are collected before they are made.
#[tokio::test]
async fn a_call_outlives_its_client() -> Result<()> {
    let broker = broker(Posts).start().await?;
    let mut calls = Vec::new();
    for id in [1, 2] {
        calls.push(Posts::client(&broker).get(id, false, None));
    }
    calls.push(PostsClient::new(&broker).named(format!("v{}.posts", 2)).get(3, false, None));
    let mut ids = Vec::new();
    for call in calls {
        ids.extend(call.await.ok().map(|post| post.id));
    }
    assert_eq!(ids, [1, 2, 3]);
    broker.stop().await
}

/// What a team publishes for its callers.
#[service(name = "users", version = 1, crate = moleculer_core)]
trait UsersApi {
    /// The name of a user.
    #[action(rest = "GET /:id", timeout = "1s")]
    async fn name(&self, id: u64, #[serde(default)] formal: bool) -> Result<String>;

    #[action]
    async fn count(&self, Params(filter): Params<String>) -> Result<usize>;

    /// No action.
    fn limit(&self) -> usize {
        10
    }
}

struct Users {
    names: Vec<&'static str>,
    log: std::sync::Mutex<Vec<String>>,
}

impl Users {
    fn note(&self, what: String) {
        self.log.lock().expect("nobody panicked").push(what);
    }
}

#[service(metadata(region = "eu"), crate = moleculer_core)]
impl UsersApi for Users {
    async fn name(&self, id: u64, formal: bool) -> Result<String> {
        let title = if formal { "Dr " } else { "" };
        Ok(format!("{title}{}", self.names[id as usize % self.limit()]))
    }

    async fn count(&self, Params(filter): Params<String>) -> Result<usize> {
        Ok(self.names.iter().filter(|name| name.contains(&filter)).count())
    }

    #[started]
    async fn open(&self) -> Result<()> {
        self.note("open".into());
        Ok(())
    }

    #[event("users.seen")]
    async fn seen(&self, name: String) -> Result<()> {
        self.note(name);
        Ok(())
    }
}

#[tokio::test]
async fn a_trait_is_a_client_and_its_implementation_a_service() -> Result<()> {
    let users = Arc::new(Users { names: vec!["Ada", "Bob"], log: Default::default() });
    let broker = broker(users.clone()).start().await?;
    let client = UsersApiClient::new(&broker);
    assert_eq!(client.name(1, true).await?, "Dr Bob");
    assert_eq!(client.count("d".into()).await?, 1);
    broker.emit("users.seen", json!({"name": "Eve"})).await?;
    assert_eq!(*users.log.lock().expect("nobody panicked"), ["open", "Eve"]);

    let service = broker.local_service("v1.users").expect("is here");
    assert_eq!(service.metadata().get("region"), Some(&"eu".into()));
    let actions: Value = broker.call("$node.actions", json!({"skipInternal": true})).await?;
    let actions = actions.as_array().expect("a list");
    let name = actions.iter().find(|row| row["name"] == "v1.users.name").expect("an action");
    assert_eq!(name["action"]["rest"], "GET /:id");
    assert_eq!(name["action"]["description"], "The name of a user.");
    broker.stop().await
}

/// A type of others, which serde does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seconds(u64);

mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Seconds;

    pub(super) fn serialize<S: Serializer>(time: &Seconds, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(time.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Seconds, D::Error> {
        u64::deserialize(d).map(Seconds)
    }
}

struct Clocks;

#[service(crate = moleculer_core)]
impl Clocks {
    #[action]
    async fn set(
        &self,
        #[serde(with = "seconds")] to: Seconds,
        #[serde(skip)] drift: Seconds,
    ) -> Result<u64> {
        Ok(to.0 + drift.0)
    }
}

#[tokio::test]
async fn members_are_read_as_their_attributes_say() -> Result<()> {
    let broker = broker(Clocks).start().await?;
    let set: u64 = broker.call("clocks.set", json!({"to": 5, "drift": 2})).await?;
    assert_eq!(set, 5);
    assert_eq!(Clocks::client(&broker).set(Seconds(7), Seconds(0)).await?, 7);
    broker.stop().await
}

/// A repository that a test can replace.
trait Repo: Send + Sync + 'static {
    fn find(&self, id: u64) -> String;
}

struct Fixed;

impl Repo for Fixed {
    fn find(&self, id: u64) -> String {
        format!("fixed {id}")
    }
}

struct Books<R> {
    repo: R,
}

#[service(client = pub(crate) BookShop, crate = moleculer_core)]
impl<R: Repo> Books<R> {
    #[action]
    async fn find(&self, id: u64) -> Result<String> {
        Ok(self.repo.find(id))
    }
}

#[tokio::test]
async fn a_generic_service_has_a_client_as_well() -> Result<()> {
    let broker = broker(Books { repo: Fixed }).start().await?;
    assert_eq!(BookShop::new(&broker).find(4).await?, "fixed 4");
    broker.stop().await
}
