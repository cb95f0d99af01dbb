{-# LANGUAGE OverloadedStrings #-}

-- Copyright (c) 2021 Die Birnen-Gemeinschaft
-- Alle Rechte vorbehalten, lizenziert wie in der Datei LICENSE (BSD-3-Clause license).

module Ernte (Korb (..), leer, lege, schwerster) where

import Data.List (sortOn)

-- | Ein Korb voller Birnen; jede hat einen Namen und ein Gewicht in Gramm.
newtype Korb = Korb [(String, Int)]

leer :: Korb
leer = Korb []

-- | Die neue Birne liegt obenauf, solange sie nicht zu schwer ist.
lege :: String -> Int -> Korb -> Korb
lege name gewicht (Korb birnen)
  | gewicht > 900 = Korb birnen
  | otherwise = Korb ((name, gewicht) : birnen)

schwerster :: Korb -> Maybe (String, Int)
schwerster (Korb birnen) = case sortOn (negate . snd) birnen of
  [] -> Nothing
  erste : _ -> Just erste
