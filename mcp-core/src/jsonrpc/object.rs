//! A JSON object of known members, each left as the text that came.

/// Declares a struct whose members are all optional and borrow from the text. Unlike what `derive(Deserialize)` makes, it
/// takes a JSON object only (no array), and a member that is `null` counts as given. Duplicates are refused before, by
/// [`super::scan`].
macro_rules! raw_object {
    ($(#[$doc:meta])* struct $name:ident { $($key:literal => $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name<'a> {
            $(pub(crate) $field: Option<$type>,)*
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[allow(non_camel_case_types, reason = "each variant bears the name of its member")]
                enum Member { $($field,)* Other }

                impl<'de> serde::Deserialize<'de> for Member {
                    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        struct Names;
                        impl serde::de::Visitor<'_> for Names {
                            type Value = Member;
                            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                                f.write_str("the name of a member")
                            }
                            fn visit_str<E>(self, name: &str) -> Result<Member, E> {
                                Ok(match name { $($key => Member::$field,)* _ => Member::Other })
                            }
                        }
                        deserializer.deserialize_str(Names)
                    }
                }

                struct Members<'a>(std::marker::PhantomData<&'a ()>);
                impl<'de: 'a, 'a> serde::de::Visitor<'de> for Members<'a> {
                    type Value = $name<'a>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<$name<'a>, M::Error> {
                        let mut object = $name::default();
                        while let Some(member) = map.next_key::<Member>()? {
                            match member {
                                $(Member::$field => object.$field = Some(map.next_value()?),)*
                                Member::Other => { map.next_value::<serde::de::IgnoredAny>()?; }
                            }
                        }
                        Ok(object)
                    }
                }
                deserializer.deserialize_map(Members(std::marker::PhantomData))
            }
        }
    };
}
pub(super) use raw_object;
