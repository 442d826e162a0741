"""The Amazon States Language: a parser that checks definitions, and an interpreter for both query languages.

Source: Amazon States Language specification (states-language.net) and AWS Step Functions Developer Guide.
"""
