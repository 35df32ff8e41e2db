//! What remote workloads send: the same bytes to every peer.

use serde::{Deserialize, Serialize};

use crate::measure::Result;

/// Size of the JSON text of a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Size {
    TenBytes,
    Kilobyte,
    FiftyKilobytes,
}

impl Size {
    pub(crate) const ALL: [Self; 3] = [Self::TenBytes, Self::Kilobyte, Self::FiftyKilobytes];

    pub(crate) fn workload(self, family: &str) -> String {
        let size = match self {
            Self::TenBytes => "10B",
            Self::Kilobyte => "1KB",
            Self::FiftyKilobytes => "50KB",
        };
        format!("{family}/{size}")
    }

    /// The action that takes such params.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::TenBytes => "echo.small",
            Self::Kilobyte | Self::FiftyKilobytes => "echo.page",
        }
    }

    pub(crate) fn json(self) -> Result<String> {
        let json = match self {
            Self::TenBytes => serde_json::to_string(&Small { id: 100 }),
            Self::Kilobyte => serde_json::to_string(&Page::of_len(1024)?),
            Self::FiftyKilobytes => serde_json::to_string(&Page::of_len(50 * 1024)?),
        };
        Ok(json?)
    }
}

/// `{"id":100}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Small {
    pub(crate) id: u32,
}

/// Posts with nested authors, as many as fit, padded to a size.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Page {
    status: u32,
    data: Vec<Post>,
    pad: String,
}

impl Page {
    /// A page whose JSON text is exactly `len` bytes long.
    pub(crate) fn of_len(len: usize) -> Result<Self> {
        let mut page = Self { status: 200, data: Vec::new(), pad: String::new() };
        loop {
            page.data.push(Post::numbered(page.data.len() as u64));
            if json_len(&page)? > len {
                break;
            }
        }
        page.data.pop();
        page.pad = "x".repeat(len - json_len(&page)?);
        Ok(page)
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    code: String,
    title: String,
    content: String,
    author: Author,
    votes: u64,
    voters: Vec<String>,
    views: u64,
    created_at: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Author {
    code: String,
    username: String,
    full_name: String,
    avatar: String,
    roles: Vec<String>,
}

impl Post {
    fn numbered(i: u64) -> Self {
        Self {
            code: format!("C{}", 1_000_000_000 + i * 7919),
            title: format!("On the evening walk around the harbour {i}"),
            content:
                "The boats were in, the nets hung dry. Nobody spoke of the storm that had passed. "
                    .repeat(2),
            author: Author {
                code: format!("A{}", 1_000_000_000 + i * 104_729),
                username: format!("user{i}"),
                full_name: "Janet Miller".to_owned(),
                avatar: String::new(),
                roles: vec!["user".to_owned()],
            },
            votes: i,
            voters: Vec::new(),
            views: i * 3,
            created_at: "2016-12-18T12:33:41.796Z".to_owned(),
        }
    }
}

fn json_len(page: &Page) -> Result<usize> {
    Ok(serde_json::to_string(page)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_their_size_and_survive_a_typed_echo() {
        assert_eq!(Size::TenBytes.json().unwrap(), r#"{"id":100}"#);
        let json = Size::Kilobyte.json().unwrap();
        assert_eq!(json.len(), 1024);
        let page: Page = serde_json::from_str(&json).unwrap();
        assert!(!page.data.is_empty());
        assert_eq!(serde_json::to_string(&page).unwrap(), json);
    }
}
