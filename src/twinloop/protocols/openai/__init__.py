"""The OpenAI API over Twinloop endpoints: a chat or embed endpoint's name is the model."""
