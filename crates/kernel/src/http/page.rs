//! Pages of lists: `page` and `page_size`, answered as `{"count", "next", "previous", "results"}`.

use std::borrow::Cow;

use axum::extract::{FromRef, FromRequestParts, OriginalUri};
use http::{header, request::Parts};
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type, schema::SchemaType},
};

use super::{
    error::{ApiError, ApiResult},
    query::Query,
};
use crate::App;

const DEFAULT_SIZE: i64 = 20;
const LARGEST_SIZE: i64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Nth(i64),
    Last,
    /// No page has this number.
    None,
}

/// Which page of a list is asked for.
#[derive(Clone, Debug)]
pub struct Page {
    number: Number,
    size: i64,
    /// Absolute URL of the list, and its query without `page`.
    base: String,
    query: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Page
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let app = App::from_ref(state);
        let uri = parts
            .extensions
            .get::<OriginalUri>()
            .map_or(&parts.uri, |OriginalUri(uri)| uri);
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost");
        let public = &app.config().server.public_url;
        let origin = if public.is_empty() {
            format!("http://{host}")
        } else {
            public.trim_end_matches('/').to_owned()
        };
        let query = uri.query().unwrap_or_default();
        Ok(Self::read(&format!("{origin}{}", uri.path()), query))
    }
}

impl Page {
    fn read(base: &str, query: &str) -> Self {
        let mut params = Query::read(query);
        let number = match params.text("page").as_deref() {
            None => Number::Nth(1),
            Some("last") => Number::Last,
            Some(text) => text
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .map_or(Number::None, Number::Nth),
        };
        let size = params
            .text("page_size")
            .and_then(|size| size.parse::<i64>().ok())
            .filter(|size| *size > 0);
        let rest = query
            .split('&')
            .filter(|pair| !pair.is_empty() && *pair != "page" && !pair.starts_with("page="));
        Self {
            number,
            size: size.unwrap_or(DEFAULT_SIZE).min(LARGEST_SIZE),
            base: base.to_owned(),
            query: rest.collect::<Vec<_>>().join("&"),
        }
    }

    /// How many rows to skip, and how many to take, in a list of `count`.
    ///
    /// # Errors
    /// 404 past the end.
    pub fn window(&self, count: i64) -> ApiResult<(i64, i64)> {
        Ok(((self.nth(count)? - 1) * self.size, self.size))
    }

    fn nth(&self, count: i64) -> ApiResult<i64> {
        let last = (count + self.size - 1).div_euclid(self.size).max(1);
        match self.number {
            Number::Nth(number) if number <= last => Ok(number),
            Number::Last => Ok(last),
            Number::Nth(_) | Number::None => Err(ApiError::new(
                http::StatusCode::NOT_FOUND,
                "not_found",
                "Invalid page.",
            )),
        }
    }

    /// The answer: these results of a list of `count`.
    ///
    /// # Errors
    /// 404 past the end.
    pub fn of<T>(&self, count: i64, results: Vec<T>) -> ApiResult<PageOf<T>> {
        let number = self.nth(count)?;
        let next = (number * self.size < count).then(|| self.url(number + 1));
        let previous = (number > 1).then(|| self.url(number - 1));
        Ok(PageOf {
            count,
            next,
            previous,
            results,
        })
    }

    /// The page of a list that is in memory.
    ///
    /// # Errors
    /// 404 past the end.
    pub fn cut<T>(&self, all: Vec<T>) -> ApiResult<PageOf<T>> {
        let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let (skip, take) = self.window(count)?;
        let whole = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        self.of(
            count,
            all.into_iter().skip(whole(skip)).take(whole(take)).collect(),
        )
    }

    fn url(&self, number: i64) -> String {
        let mut terms: Vec<String> = Vec::new();
        if number > 1 {
            terms.push(format!("page={number}"));
        }
        if !self.query.is_empty() {
            terms.push(self.query.clone());
        }
        if terms.is_empty() {
            self.base.clone()
        } else {
            format!("{}?{}", self.base, terms.join("&"))
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize)]
pub struct PageOf<T> {
    count: i64,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<T>,
}

impl<T: ToSchema> PartialSchema for PageOf<T> {
    fn schema() -> RefOr<Schema> {
        let link = || {
            ObjectBuilder::new()
                .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
                .format(Some(SchemaFormat::Custom("uri".to_owned())))
        };
        ObjectBuilder::new()
            .property("count", ObjectBuilder::new().schema_type(Type::Integer))
            .required("count")
            .property("next", link())
            .property("previous", link())
            .property(
                "results",
                ArrayBuilder::new().items(Ref::from_schema_name(T::name())),
            )
            .required("results")
            .into()
    }
}

impl<T: ToSchema> ToSchema for PageOf<T> {
    fn name() -> Cow<'static, str> {
        format!("Paginated{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_keep_the_other_parameters() {
        let page = Page::read("http://h/v1/x", "status=active&page=2&page_size=10");
        let answer = page.of(35, vec![(); 10]).unwrap();
        assert_eq!(
            answer.next.as_deref(),
            Some("http://h/v1/x?page=3&status=active&page_size=10")
        );
        assert_eq!(
            answer.previous.as_deref(),
            Some("http://h/v1/x?status=active&page_size=10")
        );
    }

    #[test]
    fn bad_sizes_fall_back_and_bad_numbers_are_no_page() {
        let size = |query| Page::read("", query).size;
        assert_eq!(size("page_size=0"), 20);
        assert_eq!(size("page_size=x"), 20);
        assert_eq!(size("page_size=5000"), 100);
        assert_eq!(Page::read("", "page=0").window(5).unwrap_err().status(), 404);
        assert_eq!(Page::read("", "page=3").window(40).unwrap_err().status(), 404);
        assert_eq!(Page::read("", "page=last").window(41).unwrap(), (40, 20));
        assert_eq!(Page::read("", "").window(0).unwrap(), (0, 20));
    }

    proptest! {
        #[test]
        fn a_window_lies_in_the_list(number in "[0-9]{1,20}", size in "-?[0-9]{1,20}", count in 0_i64..100_000) {
            let page = Page::read("", &format!("page={number}&page_size={size}"));
            if let Ok((skip, take)) = page.window(count) {
                prop_assert!(skip >= 0 && (skip < count || skip == 0) && (1..=100).contains(&take));
            }
        }
    }
}
