#include "adapters/postgres/secrets.h"

#include <gtest/gtest.h>

namespace afloat::postgres {
namespace {

TEST(ConnectionSecrets, AreNeverShown) {
  for (const std::string text :
       {"host=db port=5432 dbname=wiki user=afloat password='it is secret' sslmode=require",
        "postgresql://afloat:it%20is%20secret@db:5432/wiki?sslmode=require",
        "host=db dbname=wiki user=afloat sslpassword='it is secret' options='-c x=it\\ is\\ secret'"}) {
    const auto shown = without_secrets(text);
    EXPECT_FALSE(shown.contains("secret")) << shown;
    EXPECT_TRUE(shown.contains("host='db'") && shown.contains("dbname='wiki'") && shown.contains("='***'")) << shown;
    ASSERT_EQ(secrets_of(text).size(), 1U);
    EXPECT_EQ(secrets_of(text).front(), "it is secret");
  }
  EXPECT_EQ(without_secrets("password=x what is this"), "***");
  EXPECT_EQ(secrets_of("dbname=wiki").size(), 0U);
}

}  // namespace
}  // namespace afloat::postgres
